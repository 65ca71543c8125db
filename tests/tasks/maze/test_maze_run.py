"""Mazes from the command line: data, training, the three scores, solving."""

import json

import pytest

from tests import runs
from trm_jax.cli import main
from trm_jax.config.experiment import from_dict
from trm_jax.data.format import load
from trm_jax.tasks.maze.maze import Maze
from trm_jax.train.loop import train

SIDE = 6


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    data = {
        "task": "maze",
        "path": "generate",
        "base_examples": 30,
        "heldout_examples": 10,
        "copies": 0,
        "maze": {"side": SIDE},
    }
    path = tmp_path_factory.mktemp("maze")
    assert train(from_dict(runs.CONFIG | {"data": data}), path) == 0
    return path


def test_eval_has_three_scores_at_every_depth(workdir, capsys):
    assert main(["eval", f"--workdir={workdir}", "--steps=3", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert len(result["by_depth"]) == 3
    for row in [result, *result["by_depth"]]:
        assert 0 <= row["exact_accuracy"] <= row["shortest_path"] <= row["valid_path"] <= 1
    assert main(["eval", f"--workdir={workdir}"]) == 0
    assert "paths  shortest" in capsys.readouterr().out


def test_the_loop_writes_them_down(workdir):
    last = [e for e in runs.metrics(workdir) if "heldout/exact_accuracy" in e][-1]
    assert {"heldout/valid_path", "heldout/shortest_path"} <= set(last)


def test_solve_checks_the_path(workdir, capsys, tmp_path):
    data, maze = load(workdir / "data"), Maze(SIDE)
    file = tmp_path / "mazes.txt"
    lines = [maze.format_line(question) for question in data.inputs[:3]]
    file.write_text("\n".join(lines) + "\n")
    code = main(["solve", f"--workdir={workdir}", str(file), "--json"])
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [record["question"] for record in found] == lines
    assert code == (0 if all(record["solved"] for record in found) else 1)
    for record in found:
        wrong = maze.check_answer(maze.parse(record["question"]), maze.parse(record["answer"]))
        assert record["solved"] == (not record["broken"]) == (not wrong)


@pytest.mark.parametrize(
    ("puzzle", "words"),
    [
        ("S....G", "the whole maze 36"),
        ("S" + "." * 35, "0 cells G"),
        ("S#" + "#" * 33 + "G", "no way leads from S to G"),
        ("S" + "." * 34 + "x", "'x' at place 36"),
    ],
)
def test_mazes_that_are_none(workdir, capsys, puzzle, words):
    assert main(["solve", f"--workdir={workdir}", puzzle]) == 2
    err = capsys.readouterr().err
    assert words in err and err.count("\n") == 1


@pytest.mark.parametrize(
    ("command", "flag", "lacks", "remedy"),
    [
        ("solve", "--fit-updates=3", "no puzzles with demonstrations", "leave --fit_updates out"),
        ("solve", "--voting=count", "no puzzles with demonstrations", "leave --voting out"),
        ("eval", "--voting=count", "no copies that vote", "leave --voting out"),
        ("eval", "--max-augmentations=3", "no copies that vote", "leave --max_augmentations out"),
        ("eval", "--unknown-rows=blank", "no copies that vote", "leave --unknown_rows out"),
        ("eval", "--copies=4", "no digits to relabel", "choose the dihedral symmetries"),
    ],
)
def test_flags_for_what_mazes_lack_are_refused(workdir, capsys, command, flag, lacks, remedy):
    rest = ["S" + "." * 34 + "G"] if command == "solve" else []
    assert main([command, f"--workdir={workdir}", flag, *rest]) == 2
    err = capsys.readouterr().err
    assert err == f"trm: the task 'maze' has {lacks}; {remedy}.\n"


def test_a_picture_of_the_steps_is_drawn(workdir, tmp_path):
    picture = tmp_path / "x.png"
    puzzle = "S" + "." * 34 + "G"
    assert main(["solve", f"--workdir={workdir}", f"--picture={picture}", puzzle]) in (0, 1)
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_other_mazes_are_refused(workdir, capsys, tmp_path):
    out = tmp_path / "m"
    assert main(["data", "maze", f"--out={out}", "--side=7", "--train=3", "--heldout=0"]) == 0
    capsys.readouterr()
    assert main(["eval", f"--workdir={workdir}", f"--data={out}", "--split=train"]) == 2
    assert "side 7 and the model was trained with 6" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["maze", "--box=2x2"], "--box is for sudoku, not for maze"),
        (
            ["sudoku", "--side=5"],
            "--side is for maze, arc, futoshiki, numberlink and gym, not for sudoku",
        ),
        (["maze", "--wall-share=2"], "wall_share is 2.0"),
        (["arc1", "--source=nowhere"], "is 'nowhere', and there is no such file or directory"),
        (["arc1", "--subsets=training2,evaluation"], "ARC-AGI-2"),
        (["arc3"], "a task (sudoku, maze, arc1, arc2)"),
    ],
)
def test_data_refuses_in_one_sentence(capsys, tmp_path, arguments, words):
    assert main(["data", *arguments, f"--out={tmp_path / 'out'}"]) == 2
    err = capsys.readouterr().err
    assert (words in err or "arc3" in err) and err.count("\n") == 1
    assert not (tmp_path / "out").exists()
