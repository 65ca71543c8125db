"""Published weights of mazes and of ARC: tasks by their tokens, rows of the table by name."""

import json

import numpy as np
import pytest

from tests.published.arrays import ATTENTION, arrays_of, assert_same, config_of, model_of, saved
from tests.runs import ROOT
from trm_jax import cli
from trm_jax.core.errors import UserError
from trm_jax.data.rows import BLANK_NAME
from trm_jax.published import convert
from trm_jax.published.torch_files import read
from trm_jax.tasks.arc.row_names import read_row_names
from trm_jax.tasks.arc.task import ArcTask
from trm_jax.train import trained

SIDE = 5
NAMES = [
    BLANK_NAME,
    "one",
    "two",
    "two|||t3|||0213456789",
    "one|||t1|||0123456789",
    "two|||t0|||0987654321",
]
ORDER = [0, 1, 4, 2, 3, 5]
"""Rows of these names with each task's beside each other."""
CASES = ROOT.parent / "shared" / "cases" / "ckpt"


def published(task, **changes):
    """A model as the published code trains it on a task, its config, and a table of six rows."""
    vocab = {"arc": 12, "maze": 6}[task]
    model = model_of(vocab=vocab, cells=SIDE**2, dtype="bfloat16", **ATTENTION)
    config = config_of(**ATTENTION)
    config["data"] = {"task": task, task: {"side": SIDE}} | changes
    return arrays_of(model, rows=6 if task == "arc" else 1), config


def grids(colour):
    return {"input": [[colour, 2], [3, 4]], "output": [[2, colour], [4, 3]]}


@pytest.fixture
def tasks(tmp_path):
    """The two tasks in Kaggle's form."""
    content = {n: {"train": [grids(1), grids(5)], "test": [grids(7)]} for n in ("one", "two")}
    path = tmp_path / "tasks.json"
    path.write_text(json.dumps(content))
    return path


def test_a_maze_there_evaluate_and_back(tmp_path, capsys):
    arrays, config = published("maze")
    file = saved(tmp_path / "step_9765.safetensors", arrays)
    plan = convert.plan(file, config)
    assert plan.notes[0].endswith("the config says; its 6 tokens also fit sudoku")
    assert convert.from_torch(plan, tmp_path / "out", 2)["agrees"]
    assert convert.taken(plan)["data.maze.side"] == SIDE
    counts = ["--train=2", "--heldout=0", "--test=2", f"--side={SIDE}"]
    assert cli.main(["data", "maze", f"--out={tmp_path / 'data'}", *counts]) == 0
    assert cli.main(["eval", f"--workdir={tmp_path / 'out'}", f"--data={tmp_path / 'data'}"]) == 0
    convert.to_torch(tmp_path / "out", tmp_path / "back.safetensors")
    assert_same(read(tmp_path / "back.safetensors"), arrays)


def test_a_maze_with_the_config_of_a_sudoku_is_told(tmp_path):
    arrays, config = published("maze")
    file = saved(tmp_path / "a.safetensors", arrays)
    config["data"] = {"task": "sudoku", "sudoku": {"box": [3, 3]}}
    words = r"6 tokens .*fits sudoku with box=\(2, 2\) as well as maze, .*data.task"
    with pytest.raises(UserError, match=words):
        convert.plan(file, config)
    config["data"]["sudoku"]["box"] = [2, 2]  # said by the user, so it may be
    assert "also fit maze" in convert.plan(file, config).notes[0]
    config["data"] = {"task": "arc", "arc": {"side": SIDE}}
    with pytest.raises(UserError, match="no arc puzzle .* of the task maze or sudoku: set config"):
        convert.plan(file, config)


def test_arc_without_its_data_set_has_positions(tmp_path, tasks, capsys):
    arrays, config = published("arc", copies=3)
    plan = convert.plan(saved(tmp_path / "a.safetensors", arrays), config)
    assert any(
        "the tasks of the 6 rows of puzzle_emb.weights are unknown" in note for note in plan.notes
    )
    assert convert.from_torch(plan, tmp_path / "out", 2)["agrees"]
    command = ["eval", f"--workdir={tmp_path / 'out'}", f"--data={tasks}", "--max_augmentations=0"]
    assert cli.main(command) == 2
    assert "2 of the 2 rows" in capsys.readouterr().err
    assert cli.main([*command, "--unknown_rows=blank"]) == 0
    convert.to_torch(tmp_path / "out", tmp_path / "back.safetensors")
    assert_same(read(tmp_path / "back.safetensors"), arrays)


@pytest.mark.parametrize("as_file", [False, True])
def test_arc_rows_by_the_published_names(tmp_path, tasks, as_file):
    arrays, config = published("arc")
    (tmp_path / "identifiers.json").write_text(json.dumps(NAMES))
    data = tmp_path / "identifiers.json" if as_file else tmp_path
    plan = convert.plan(saved(tmp_path / "a.safetensors", arrays), config, data=data)
    assert any(f"are named by {data}: 2 tasks" in note for note in plan.notes)
    assert convert.from_torch(plan, tmp_path / "out", 2)["agrees"]
    found = trained.load(tmp_path / "out")
    names = [ArcTask().row_name(found, row) for row in range(len(found.rows))]
    assert names == [NAMES[place] for place in ORDER]
    table = arrays["puzzle_emb.weights"]
    np.testing.assert_array_equal(found.weights.table, table[ORDER])
    command = ["eval", f"--workdir={tmp_path / 'out'}", f"--data={tasks}", "--max_augmentations=0"]
    assert cli.main(command) == 0
    convert.to_torch(tmp_path / "out", tmp_path / "back.safetensors")
    assert_same(read(tmp_path / "back.safetensors"), arrays)
    np.save(tmp_path / "out" / "published_rows.npy", np.zeros(6, int))
    with pytest.raises(UserError, match=r"published_rows.npy is damaged .*; convert"):
        convert.to_torch(tmp_path / "out", tmp_path / "again.safetensors")


def test_arc_rows_by_a_data_set_of_ours(tmp_path, capsys):
    """What `trm convert to-torch` wrote has the rows in the order of the dataset."""
    data, folder = tmp_path / "data", tmp_path / "tasks"
    folder.mkdir()
    for first, subset in ((1, "training"), (3, "evaluation")):
        found = {
            f"{subset}{n}": {"train": [grids(n)], "test": [grids(n + 5)]}
            for n in (first, first + 1)
        }
        kept = {
            n: {"train": t["train"], "test": [{"input": t["test"][0]["input"]}]}
            for n, t in found.items()
        }
        answers = {n: [t["test"][0]["output"]] for n, t in found.items()}
        (folder / f"arc-agi_{subset}_challenges.json").write_text(json.dumps(kept))
        (folder / f"arc-agi_{subset}_solutions.json").write_text(json.dumps(answers))
    command = ["data", "arc1", f"--out={data}", f"--source={folder}", "--copies=2"]
    command += [f"--side={SIDE}", "--subsets=training,evaluation"]
    code = cli.main(command)
    assert code == 0, capsys.readouterr().err
    rows = json.loads((data / "manifest.json").read_text())["table_rows"]
    _, config = published("arc")
    model = model_of(vocab=12, cells=SIDE**2, **ATTENTION)
    file = saved(tmp_path / "a.npz", arrays_of(model, rows=rows))
    convert.from_torch(convert.plan(file, config, data=data), tmp_path / "out", 0)
    assert cli.main(["eval", f"--workdir={tmp_path / 'out'}", f"--data={data}"]) == 0
    file = saved(tmp_path / "b.npz", arrays_of(model, rows=rows + 1))
    with pytest.raises(UserError, match=rf"names {rows} rows, but .* has {rows + 1}; give"):
        convert.plan(file, config, data=data)


def test_a_large_table_is_padded_and_comes_back(tmp_path):
    _, config = published("arc")
    model = model_of(vocab=12, cells=SIDE**2, **ATTENTION)
    arrays = arrays_of(model, rows=1030)
    plan = convert.plan(saved(tmp_path / "a.npz", arrays), config)
    convert.from_torch(plan, tmp_path / "out", 0)
    assert trained.load(tmp_path / "out").weights.table.shape[0] == 2048
    convert.to_torch(tmp_path / "out", tmp_path / "back.npz")
    assert_same(read(tmp_path / "back.npz"), arrays)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ([], "first entry must be '<blank>'"),
        (["one"], "first entry must be"),
        ([BLANK_NAME, BLANK_NAME], "entry 1 is '<blank>', which names no task"),
        ([BLANK_NAME, ""], "names no task"),
        ([BLANK_NAME, "one|||t1|||0123456789"], "own row is missing"),
        ([BLANK_NAME, "one", "one"], "twice"),
        ([BLANK_NAME, "one", "one|||t1|||0113456789"], "not a permutation"),
    ],
)
def test_wrong_names(names, words):
    with pytest.raises(UserError, match=words) as error:
        read_row_names(names, "identifiers.json")
    assert str(error.value).startswith("identifiers.json: ")


@pytest.mark.parametrize(
    ("task", "content", "words"),
    [
        ("arc", "[", "cannot be read"),
        ("arc", "{}", "is not a list of names"),
        ("arc", "[3]", "is not a list of names"),
        ("arc", json.dumps(NAMES[:3]), "names 3 rows, but puzzle_emb.weights of a.npz has 6"),
        ("arc", None, "neither an identifiers.json nor a manifest.json"),
        ("maze", json.dumps(NAMES), "task 'maze' has no rows of the puzzle table by name"),
    ],
)
def test_wrong_data_sets(tmp_path, task, content, words):
    arrays, config = published(task)
    file = saved(tmp_path / "a.npz", {n: a.astype(np.float32) for n, a in arrays.items()})
    data = tmp_path / "data"
    data.mkdir()
    if content is not None:
        (data / "identifiers.json").write_text(content)
    with pytest.raises(UserError, match=words):
        convert.plan(file, config, data=data)


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("maze_step_9765", ["maze.py:hard", "--config.data.maze.side=6"]),
        ("arc_step_518071", ["arc.py:arc1", "--config.data.arc.side=6"]),
        ("lightning.ckpt", ["sudoku.py:extreme"]),
        ("all_fp16.pt", ["sudoku.py:extreme"]),
    ],
)
def test_files_that_people_have(tmp_path, capsys, name, config):
    if not (CASES / name).exists():
        pytest.skip(f"{CASES / name} is not here")
    first, *more = config
    heads = ["--config.model.heads=4", "--config.model.N=2", "--config.model.unroll=False"]
    command = ["convert", "from-torch", str(CASES / name), f"--out={tmp_path / 'out'}"]
    command += [f"--config={ROOT / 'experiments' / first}", *more, *heads]
    assert cli.main(command) == 0 and "they agree" in capsys.readouterr().out
    convert.to_torch(tmp_path / "out", tmp_path / "back.safetensors")
    assert_same(read(tmp_path / "back.safetensors"), read(CASES / name))
