"""Watching a model think: what is recorded, the page, the animation, the command."""

import dataclasses
import io
import json
import re
import sys
from html.parser import HTMLParser

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from tests import runs, some_traces
from tests.arc_tasks import record, some_task, source
from trm_jax.cli import main
from trm_jax.config.experiment import from_dict
from trm_jax.core.errors import UserError
from trm_jax.core.mesh import make_mesh
from trm_jax.infer.rollout import Rollout
from trm_jax.models import get_model
from trm_jax.models.weights import init_weights
from trm_jax.show.trace_gif import LAST_MS, STEP_MS, animation
from trm_jax.show.trace_page import MAX_TRACES, page
from trm_jax.show.trace_record import trace_puzzles
from trm_jax.tasks.sudoku.sudoku import Sudoku
from trm_jax.train.loop import train
from trm_jax.train.trained import load

SUDOKU = Sudoku(2, 2)


class Page(HTMLParser):
    """What a page holds: its elements, and the text in each kind of them."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.texts, self._open = [], {}, []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._open.append(tag)

    def handle_endtag(self, tag):
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data):
        if self._open:
            self.texts.setdefault(self._open[-1], []).append(data)

    def traces(self):
        return self.data()["traces"]

    def data(self):
        (data,) = [t for t in self.texts["script"] if t.startswith("{")]
        return json.loads(data)


def spelt(line, width, base=36):
    """Numbers of so many digits each."""
    return [int(line[i : i + width], base) for i in range(0, len(line), width)]


def answers(model, weights, steps, **options):
    """To three random questions."""
    questions = np.random.default_rng(1).integers(1, 6, (3, 16)).astype(np.uint8)
    return questions, Rollout(model, make_mesh(1), steps, 3, **options)(weights, questions)


def test_recording_confidence_changes_no_answer():
    model = get_model(runs.TINY_MODEL)
    weights = init_weights(jax.random.key(0), model, 1)
    _, seen = answers(model, weights, 5, confidence=True)
    _, plain = answers(model, weights, 5)
    assert seen.predictions.dtype == np.uint8 and seen.confidence.dtype == np.float16
    assert seen.confidence.shape == seen.predictions.shape == (5, 3, 16)
    np.testing.assert_array_equal(seen.predictions, plain.predictions)
    np.testing.assert_allclose(seen.halt_logits, plain.halt_logits, atol=1e-4)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_confidence_is_the_stable_max_probability_of_the_chosen_token(dtype):
    model = get_model(dataclasses.replace(runs.TINY_MODEL, dtype=dtype))
    weights = init_weights(jax.random.key(0), model, 1)
    questions, seen = answers(model, weights, 1, confidence=True)
    shape = (3, model.config.tokens, model.config.width)
    start = tuple(
        jnp.broadcast_to(jnp.asarray(v, dtype)[None, None], shape) for v in weights.initial
    )
    rows = jnp.asarray(weights.table)[np.zeros(3, np.int32)]
    step = jax.jit(model.supervision_step)
    _, output = step(weights.params, start, questions.astype(np.int32), rows)
    logits = np.asarray(output.logits, np.float64)
    s = np.where(logits >= 0, logits + 1, 1 / (1 + np.abs(logits)))
    chances = (s / s.sum(-1, keepdims=True)).max(-1)
    assert 1 / model.config.vocab < chances.min() < chances.max() < 1
    close = 1e-3 if dtype == "float32" else 9e-3
    np.testing.assert_allclose(seen.confidence[0], chances, atol=close)


def test_a_page_loads_nothing_and_holds_the_traces():
    traces = some_traces.all_kinds()
    text = page("six", traces, "a note")
    found = Page(text)
    for tag, attributes in found.elements:
        assert tag not in ("iframe", "object", "embed", "img", "base")
        assert not {"src", "onclick", "onload", "style"} & set(attributes), (tag, attributes)
        if tag == "link":
            assert attributes == {"rel": "icon", "href": "data:,"}
    assert not re.search(r"@import|url\(|\beval\(|new Function|fetch\(|XMLHttp|import\(", text)
    assert set(re.findall(r"https?://[^\"' ]*", text)) == {"http://www.w3.org/2000/svg"}
    assert "{{" not in text
    assert found.texts["title"] == ["six"] and "a note" in found.texts["p"]
    ids = [a["id"] for _, a in found.elements if "id" in a]
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'\$\("([\w-]+)"\)', text)) <= set(ids)
    boards = found.data()["boards"]
    assert len(boards) == 4, "boards that look alike are described once"
    for one, trace in zip(found.traces(), traces, strict=True):
        assert one["name"] == trace.name and one["verdict"] == trace.verdict
        look = boards[one["board"]]
        assert [t["word"] for t in look["tokens"]] == [t.word for t in trace.board.tokens]
        for line, answer in zip(one["path"], trace.path, strict=True):
            assert spelt(line, look["width"]) == answer.reshape(-1).tolist()
        for line, confidence in zip(one["confidence"], trace.confidence, strict=True):
            shares = np.asarray(spelt(line, 2, 10)) / 99
            np.testing.assert_allclose(shares, confidence.reshape(-1), atol=0.0051)
        np.testing.assert_allclose(one["halting"], trace.halting, atol=1e-4)
        assert (one["rows"], one["columns"]) == trace.question.shape


def test_what_people_write_is_escaped():
    hostile = "</script><script>alert(1)</script><!-- {{data}} \"'&"
    found = Page(page(hostile, [some_traces.sudoku_trace(hostile)], hostile))
    assert [tag for tag, _ in found.elements].count("script") == 2
    assert "".join(found.texts["title"]) == hostile == found.traces()[0]["name"]


def test_a_page_has_one_to_fifty_traces():
    with pytest.raises(ValueError, match="0 traces"):
        page("none", [])
    with pytest.raises(ValueError, match="51 traces"):
        page("many", [some_traces.sudoku_trace()] * (MAX_TRACES + 1))


def test_arc_boards_are_as_large_as_the_largest_grid():
    trace = some_traces.some_arc_trace()
    assert trace.question.shape == (3, 3) and trace.path.shape == (4, 3, 3)
    assert trace.sizes.tolist() == [[3, 2], [1, 1], [2, 3], [0, 0], [2, 2], [2, 2]]
    assert trace.question.tolist() == [[3, 4, 0], [5, 6, 0], [7, 8, 0]]
    # edges and whatever else is outside the grid is gone
    assert trace.path[0].tolist() == [[3, 0, 0], [0, 0, 0], [0, 0, 0]]
    assert trace.path[1].tolist() == [[5, 5, 3], [5, 6, 3], [0, 0, 0]]
    assert not trace.path[2].any()
    assert ((trace.confidence > 0) == (trace.path > 0)).all()
    assert trace.right == [False, False, False, True] and trace.verdict == "solved"
    assert trace.answer.tolist() == [[5, 5, 0], [5, 5, 0], [0, 0, 0]]


def test_arc_verdicts():
    unknown = some_traces.some_arc_trace(answer=None)
    assert unknown.answer is None and unknown.right == [None] * 4
    assert "unknown" in unknown.verdict
    verdicts = {
        ((3, 3), (3, 4)): "NOT solved (1 cell wrong)",
        ((4, 3), (3, 4)): "NOT solved (2 cells wrong)",
        ((3, 3, 3),): "NOT solved (2x2, not 1x3)",
    }
    for answer, words in verdicts.items():
        assert some_traces.some_arc_trace(answer=answer).verdict == words


@pytest.mark.parametrize("number", range(6))
def test_the_animation_has_a_frame_for_each_step(number):
    trace = some_traces.all_kinds()[number]
    content = animation(trace)
    assert len(content) < 300_000
    image = Image.open(io.BytesIO(content))
    assert image.format == "GIF" and image.n_frames == len(trace.path) + 1
    times = []
    for frame in range(image.n_frames):
        image.seek(frame)
        times.append(image.info["duration"])
    assert times == [STEP_MS] * len(trace.path) + [LAST_MS]
    assert image.info["loop"] == 0 and max(image.size) < 700


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    path = tmp_path_factory.mktemp("run")
    small = {"steps": 4, "eval_every": 0}
    assert train(runs.experiment(**small), path) == 0
    return path


@pytest.fixture(scope="module")
def puzzles(workdir):
    return [SUDOKU.format_line(tokens) for tokens in np.load(workdir / "data/inputs.npy")]


def test_recorded_is_what_solve_says(workdir, puzzles, capsys):
    trained = load(workdir)
    count = 11  # more than a batch
    rollout = Rollout(trained.model, trained.mesh, 2, 4, confidence=True)
    main(["solve", f"--workdir={workdir}", "--json", "--steps=2", *puzzles[:count]])
    out, err = capsys.readouterr()
    assert "wrote" not in err  # unless asked to
    solved = [json.loads(line) for line in out.splitlines()]
    questions = np.stack([SUDOKU.parse(p) for p in puzzles[:count]])
    traces = trace_puzzles(rollout, trained.weights, trained.manifest, questions)
    assert [trace.name for trace in traces[:2]] == ["puzzle 1", "puzzle 2"]
    for one, trace in zip(solved, traces, strict=True):
        assert SUDOKU.format_line(trace.path[-1].reshape(-1)) == one["answer"]
        assert (trace.verdict == "solved") == one["solved"] == trace.right[-1]
        np.testing.assert_allclose(trace.halting, one["confidence"], atol=1e-3)
        assert trace.confidence.shape == (2, 4, 4)


def test_solve_writes_both(workdir, puzzles, capsys, tmp_path):
    html, gif = tmp_path / "new/out.html", tmp_path / "new/out.gif"
    main(["solve", f"--workdir={workdir}", f"--trace={html}", f"--gif={gif}", *puzzles[:2]])
    err = capsys.readouterr().err
    assert f"wrote {html}\nwrote {gif}\n" in err
    traces = Page(html.read_text()).traces()
    assert [len(trace["path"]) for trace in traces] == [3, 3]
    (look,) = Page(html.read_text()).data()["boards"]
    assert look["box"] == [2, 2] and not look["filled"]
    assert Image.open(gif).n_frames == 4
    assert {path.name for path in html.parent.iterdir()} == {"out.html", "out.gif"}


def test_a_page_says_what_it_leaves_out(workdir, puzzles, capsys, tmp_path):
    html = tmp_path / "out.html"
    many = (puzzles * 2)[: MAX_TRACES + 3]
    main(["solve", f"--workdir={workdir}", "--steps=1", f"--trace={html}", *many])
    words = f"The page shows the first {MAX_TRACES} of {len(many)}."
    assert words in capsys.readouterr().err and words in Page(html.read_text()).texts["p"]
    assert len(Page(html.read_text()).traces()) == MAX_TRACES


@pytest.mark.parametrize(
    ("flag", "words"),
    [
        ("--trace={tmp}", "not a file name"),
        ("--trace=", "not a file name"),
        ("--gif={tmp}", "not a file name"),
        ("--gif={tmp}/out.png", "give a name that ends in .gif"),
        ("--trace={tmp}/file/out.html", "file is a file; give a path in a directory"),
        ("--gif={tmp}/file/new/out.gif", "file is a file; give a path in a directory"),
        ("--trace=/proc/nothing/out.html", "/proc/nothing/out.html cannot be written"),
        (f"--trace={{tmp}}/{'x' * 250}.html", "cannot be written (File name too long)"),
    ],
)
def test_places_that_cannot_be_written(workdir, puzzles, capsys, tmp_path, flag, words):
    (tmp_path / "file").write_text("here")
    flag = flag.replace("{tmp}", str(tmp_path))
    assert main(["solve", f"--workdir={workdir}", flag, puzzles[0]]) == 2
    err = capsys.readouterr().err
    assert words in err and err.startswith("trm: ") and err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_what_fails_leaves_the_old_file(workdir, puzzles, capsys, tmp_path, monkeypatch):
    html = tmp_path / "out.html"
    html.write_text("old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.replace", full)
    assert main(["solve", f"--workdir={workdir}", f"--trace={html}", puzzles[0]]) == 2
    assert "No space left on device" in capsys.readouterr().err
    assert html.read_text() == "old" and list(tmp_path.iterdir()) == [html]


def test_an_animation_needs_matplotlib_and_a_page_does_not(
    workdir, puzzles, capsys, tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, "matplotlib.backends.backend_agg", None)
    command = ["solve", f"--workdir={workdir}", puzzles[0]]
    assert main([*command, f"--gif={tmp_path / 'out.gif'}"]) == 2
    out, err = capsys.readouterr()
    assert not out and "pip install 'trm-jax[plot]'" in err
    assert main([*command, f"--trace={tmp_path / 'out.html'}"]) in (0, 1)
    with pytest.raises(UserError, match="matplotlib"):
        animation(some_traces.sudoku_trace())


@pytest.mark.slow
def test_solve_watches_named_puzzles(tmp_path, capsys):
    source(tmp_path, most=4)
    data = {
        "task": "arc",
        "path": str(tmp_path),
        "base_examples": 0,
        "heldout_examples": 0,
        "copies": 2,
        "arc": {"side": 5},
    }
    settings = runs.CONFIG | {"data": data, "eval_every": 0, "steps": 2}
    assert train(from_dict(settings), tmp_path / "run") == 0
    task, new = some_task("test1", most=4, tests=2), some_task("new", most=4, seed=5)
    file = tmp_path / "tasks.json"
    file.write_text(json.dumps({"test1": record(task), "new": record(new, solved=False)}))
    html, gif = tmp_path / "out.html", tmp_path / "out.gif"
    command = ["solve", f"--workdir={tmp_path / 'run'}", str(file), "--fit-updates=1"]
    main([*command, f"--trace={html}", f"--gif={gif}", "--steps=2"])
    assert f"wrote {html}\nwrote {gif}\n" in capsys.readouterr().err
    found = Page(html.read_text())
    traces = found.traces()
    assert [t["name"] for t in traces] == ["test1, test 1", "test1, test 2", "new, test 1"]
    for trace, pair in zip(traces, [*task.tests, *new.tests], strict=True):
        assert len(trace["path"]) == 2
        assert trace["sizes"][0] == list(pair.input.shape)
        rows, columns = pair.input.shape
        board = np.asarray([int(c, 36) for c in trace["question"]])
        board = board.reshape(trace["rows"], trace["columns"])
        np.testing.assert_array_equal(board[:rows, :columns], pair.input + 2)
    assert traces[0]["sizes"][-1] == list(task.tests[0].output.shape)
    assert traces[2]["answer"] is None and traces[2]["right"] == [None, None]
    assert any("one vote of many" in text for text in found.texts["p"])
