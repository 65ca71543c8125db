"""`trm show` as a user meets it."""

import json

import numpy as np
import pytest

from tests import runs
from trm_jax.cli import main
from trm_jax.core.symmetries import FIRST_DIGIT
from trm_jax.data import format as dataset_format
from trm_jax.infer.rollout import Rollout
from trm_jax.infer.solve import solve
from trm_jax.show.exhibits import Predictions, choose, exhibits
from trm_jax.tasks.arc.build import build_tasks
from trm_jax.tasks.arc.canvas import to_canvas
from trm_jax.tasks.arc.read import read_file
from trm_jax.tasks.maze.maze import Maze
from trm_jax.train.loop import train
from trm_jax.train.trained import load

MAZE = Maze(5)
TASKS = {
    "swap": {
        "train": [
            {"input": [[1, 2]], "output": [[2, 1]]},
            {"input": [[3, 4], [5, 6]], "output": [[5, 6], [3, 4]]},
        ],
        "test": [{"input": [[7, 8]], "output": [[8, 7]]}, {"input": [[9, 0]]}],
    },
    "one": {
        "train": [{"input": [[1, 0, 0]], "output": [[1]]}],
        "test": [{"input": [[2, 0, 0]], "output": [[2]]}],
    },
}
MAZES = [
    ("S..#....#....#....#...#.G", "Soo#..oo#...o#...oo#..#oG"),
    ("S.......................G", "Sooooo...o....o....o....G"),
    (".......................SG", ".......................SG"),
]


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    path = tmp_path_factory.mktemp("run")
    assert train(runs.experiment(steps=4, eval_every=4, model={"T": 1}), path) == 0
    return path


@pytest.fixture
def tasks(tmp_path):
    path = tmp_path / "tasks.json"
    path.write_text(json.dumps(TASKS))
    return path


@pytest.fixture
def mazes(tmp_path):
    inputs, labels = (np.stack([MAZE.parse(pair[i]) for pair in MAZES]) for i in (0, 1))
    splits = {"train": np.asarray([0]), "test": np.asarray([1, 2])}
    facts = {"task": "maze", "side": 5, "vocab": 6, "seed": 0, "source": {}}
    dataset = dataset_format.assemble(inputs, labels, np.zeros(3, np.int32), splits, facts)
    dataset_format.save(dataset, tmp_path / "mazes")
    return tmp_path / "mazes"


def shows(capsys, *arguments):
    """Exit code 0; gives what was printed."""
    assert main(["show", *map(str, arguments)]) == 0
    return capsys.readouterr().out


def fails(capsys, *arguments):
    """Exit code 2, one sentence on stderr, nothing on stdout; gives the sentence."""
    assert main(["show", *map(str, arguments)]) == 2
    out, err = capsys.readouterr()
    assert not out and err.startswith("trm: ") and err.count("\n") == 1
    return err


def test_named_puzzles_of_a_file(capsys, tasks):
    shown = shows(capsys, tasks)
    swap, one = shown.split("\n\n")
    assert swap.split("\n")[0] == "swap [test]" and one.split("\n")[0] == "one [test]"
    for words in ("demo 1   output", "demo 2   output", "test 1   answer", "test 2   answer"):
        assert words in swap
    assert "7 8      8 7         9 0      ?" in swap, "nobody tells the answer to the second test"


def test_choice_of_tasks(capsys, tasks):
    def titles(*flags):
        return [line for line in shows(capsys, tasks, *flags).split("\n") if "[" in line]

    assert titles("--task=one") == ["one [test]"]
    assert titles("--task=one,swap") == ["one [test]", "swap [test]"]
    assert titles("--count=1") == ["swap [test]"]
    assert titles("--first=1") == ["one [test]"]
    assert titles("--split=train", "--task=one") == ["one [train]"]


def test_one_task_in_a_file_of_its_name(capsys, tmp_path):
    (tmp_path / "abc.json").write_text(json.dumps(TASKS["one"]))
    assert shows(capsys, tmp_path / "abc.json").startswith("abc [test]\n")


def test_a_file_of_equal_tasks_is_shown_all_the_same(capsys, tmp_path):
    path = tmp_path / "same.json"
    path.write_text(json.dumps({name: TASKS["one"] for name in "abc"}))
    assert shows(capsys, path).count("[test]") == 3


def test_copies_of_the_first_task(capsys, tasks):
    blocks = shows(capsys, tasks, "--copies=2").split("\n\n")
    titles = [block.split("\n")[0] for block in blocks]
    assert len(titles) == 4 and titles[0] == "swap [test]" and titles[3] == "one [test]"
    for number, title in enumerate(titles[1:3], 1):
        assert title.startswith(f"swap [test], copy {number} (swap|||t")


def test_copies_are_those_of_the_data_set(tasks):
    dataset = build_tasks(read_file(tasks), 30, 3, 0, "tests")
    shown = exhibits(dataset, choose(dataset, "test", 0, 1), 3)
    for copy, exhibit in enumerate(shown):
        transform = dataset.rows.transforms[1 + copy]
        colours = np.asarray([0, *transform[1:]])
        one = exhibit.groups[0][0].board - FIRST_DIGIT
        assert sorted(one.ravel()) == sorted(colours[[1, 2]])


def test_named_puzzles_of_a_data_set(capsys, tasks, tmp_path):
    # some other side than the published one
    dataset = build_tasks(read_file(tasks), 6, 2, 0, "tests")
    dataset_format.save(dataset, tmp_path / "data")
    shown = shows(capsys, tmp_path / "data")
    assert shown == shows(capsys, tasks)
    assert "pair 2" in shows(capsys, tmp_path / "data", "--split=train")
    assert "copy 2" in shows(capsys, tmp_path / "data", "--copies=9")


def test_predictions_of_named_puzzles(tasks):
    dataset = build_tasks(read_file(tasks), 6, 0, 0, "tests")
    puzzles = choose(dataset, "test", 0, 9)
    answers = [[[8, 7]], [[1]], [[2], [2]]]
    canvases = np.stack([to_canvas(np.asarray(a, np.uint8), 6) for a in answers])

    def predict(questions):
        assert len(questions) == 3
        return Predictions(canvases, np.asarray([0.9, 0.5, 0.1]))

    swap, one = exhibits(dataset, puzzles, 0, predict)
    assert [len(group) for group in swap.groups] == [2, 2, 3, 3] and swap.demonstrations == 2
    first, unknown, wrong = swap.groups[2][2], swap.groups[3][2], one.groups[1][2]
    assert first.board.tolist() == [[10, 9]] and first.right and first.confidence == 0.9
    assert unknown.right is None and unknown.caption() == ["prediction", "confidence: 50.0%"]
    assert wrong.caption() == ["prediction ✗", "2x1, not 1x1", "confidence: 10.0%"]
    assert wrong.wrong_cells() is None


def test_predictions_without_a_grid_or_with_wrong_cells(tasks):
    dataset = build_tasks(read_file(tasks), 6, 0, 0, "tests")
    puzzles = choose(dataset, "test", 0, 9, ["one", "swap"])
    canvases = np.stack(
        [np.ones(36, np.uint8), *[to_canvas(np.asarray([[8, 8]], np.uint8), 6)] * 2]
    )
    shown = exhibits(dataset, puzzles, 0, lambda q: Predictions(canvases, np.zeros(3)))
    assert shown[0].groups[1][2].remark == "no grid"
    panel = shown[1].groups[2][2]
    assert panel.remark == "1 cell wrong" and panel.wrong_cells().tolist() == [[False, True]]


def test_mazes(capsys, mazes):
    shown = shows(capsys, mazes, "--count=1")
    assert shown.startswith("puzzle 0 [test]\nquestion") and "│S ••••••••│" in shown
    assert "puzzle 1 [test]" in shows(capsys, mazes, "--first=1")
    assert "••██" in shows(capsys, mazes, "--split=train")


def test_any_shortest_path_is_right(mazes):
    dataset = dataset_format.load(mazes)
    puzzles = choose(dataset, "test", 0, 1)
    texts = ["S....o....o....o....ooooG", "Sooooo...o....o....o.....", MAZES[1][1]]
    panels = []
    for text in texts:
        answer = Predictions(MAZE.parse(text)[None], np.ones(1))
        panels.append(exhibits(dataset, puzzles, 0, lambda q, a=answer: a)[0].groups[0][2])
    assert [panel.right for panel in panels] == [True, False, True]
    assert [panel.remark for panel in panels] == ["another correct answer", "1 cell wrong", ""]
    assert panels[0].wrong_cells() is None


def test_colours(capsys, mazes, tasks):
    for path in (mazes, tasks):
        assert "\x1b[" in shows(capsys, path, "--colour=always")
        assert "\x1b[" not in shows(capsys, path)  # not a terminal


def test_width_of_the_terminal(capsys, monkeypatch, tasks):
    monkeypatch.setenv("COLUMNS", "30")
    assert max(map(len, shows(capsys, tasks).split("\n"))) <= 30


def test_predictions_are_those_of_solve(capsys, workdir):
    trained = load(workdir)
    rollout = Rollout(trained.model, trained.mesh, 2, 3)
    inputs, labels = (np.load(workdir / f"data/{name}.npy") for name in ("inputs", "labels"))
    index = np.load(workdir / "data/split_heldout.npy")[1:4]
    shown = shows(capsys, f"--workdir={workdir}", "--first=1", "--steps=2")
    exhibits = shown.split("\n\n")
    for number, answer in enumerate(
        solve(rollout, trained.weights, trained.manifest, inputs[index])
    ):
        text = exhibits[number]
        assert text.startswith(f"puzzle {number + 1} [heldout]\n")
        assert f"confidence: {answer.confidence[-1]:.1%}" in text
        wrong = int((answer.answer != labels[index[number]]).sum())
        assert text.count("*") == wrong
        assert f"{wrong} cell" in text if wrong else "✓" in text


def test_predictions_of_another_data_set(capsys, workdir):
    flags = [f"--workdir={workdir}", "--split=train", "--count=1", "--copies=2"]
    own = shows(capsys, *flags)
    assert shows(capsys, *flags, f"--data={workdir / 'data'}") == own
    assert own.startswith("puzzle 0 [train]") and "puzzle 0 [train], copy 2" in own
    assert own.count("prediction") == 3


def test_pictures(capsys, workdir, mazes, tasks, tmp_path):
    from matplotlib.image import imread

    for number, arguments in enumerate([[tasks, "--copies=1"], [mazes], [f"--workdir={workdir}"]]):
        path = tmp_path / "new" / f"{number}.png"
        shows(capsys, *arguments, f"--picture={path}")
        pixels = imread(path)
        assert min(pixels.shape[:2]) > 150 and pixels.std() > 0.1


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ([], "--workdir"),
        (["nowhere"], "nowhere"),
        (["{tmp}"], "manifest.json"),
        (["{tmp}/none.json"], "none.json"),
        (["{tasks}", "{tasks}"], "one"),
        (["{tasks}", "--split=dessert"], "dessert"),
        (["{tasks}", "--split=heldout"], "train, test"),
        (["{tasks}", "--task=nobody"], "nobody"),
        (["{tasks}", "--first=2"], "--first is 2"),
        (["{tasks}", "--first=-1"], "first"),
        (["{tasks}", "--count=0"], "count"),
        (["{tasks}", "--count=51"], "count"),
        (["{tasks}", "--count=many"], "many"),
        (["{tasks}", "--copies=-1"], "copies"),
        (["{tasks}", "--colour=purple"], "purple"),
        (["{tasks}", "--data=x"], "--data"),
        (["{tasks}", "--checkpoint=3"], "--checkpoint"),
        (["{tasks}", "--workdir=x"], "tasks.json"),
        (["{mazes}", "--task=m"], "'m'"),
        (["{mazes}", "--first=2"], "--first is 2"),
        (["{mazes}", "--split=heldout"], "heldout"),
        (["--workdir=nowhere"], "nowhere"),
    ],
)
def test_mistakes_get_one_sentence(capsys, tasks, mazes, tmp_path, arguments, named):
    places = {"tmp": tmp_path, "tasks": tasks, "mazes": mazes}
    assert named in fails(capsys, *(a.format(**places) for a in arguments))


def test_mistakes_about_a_run(capsys, workdir, mazes):
    flag = f"--workdir={workdir}"
    assert "99" in fails(capsys, flag, "--checkpoint=99")
    assert "steps" in fails(capsys, flag, "--steps=0")
    assert "dessert" in fails(capsys, flag, "--split=dessert")
    assert "task" in fails(capsys, flag, f"--data={mazes}")


def test_data_sets_without_copies_say_so(capsys, tasks, tmp_path):
    dataset = build_tasks(read_file(tasks), 30, 0, 0, "tests")
    dataset_format.save(dataset, tmp_path / "data")
    assert "copies" in fails(capsys, tmp_path / "data", "--copies=1")
