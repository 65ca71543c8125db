"""The Python API as its documentation shows it: load, solve, done."""

import re
import shlex
import subprocess
import sys

import numpy as np
import pytest

import trm_jax
from tests import runs
from tests.arc_tasks import record, some_task, source
from tests.train.test_fit import config as arc_config
from trm_jax.cli import main
from trm_jax.core.errors import UserError
from trm_jax.infer.rollout import Rollout
from trm_jax.infer.solve import solve
from trm_jax.serving.export import Form, save
from trm_jax.serving.forms import as_questions
from trm_jax.tasks.task import task_of
from trm_jax.train.loop import train
from trm_jax.train.trained import load

SUDOKU = {"task": "sudoku", "box": [2, 2], "vocab": 6, "cells": 16}
MAZE = {"task": "maze", "side": 5, "vocab": 6, "cells": 25}
PUZZLE = "1.....2..3....4."
GRID = [[1, 0, 0, 0], [0, 0, 2, 0], [0, 3, 0, 0], [0, 0, 4, 0]]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Where the documentation's examples run: runs/demo, exported/demo and runs/arc."""
    home = tmp_path_factory.mktemp("home")
    assert train(runs.experiment(steps=4), home / "runs/demo") == 0
    assert main(["export", f"--workdir={home}/runs/demo", f"--out={home}/exported/demo"]) == 0
    source(home, most=4)
    # so many rows that the table is split over the devices of these tests
    many = arc_config(home, steps=4, table={"lr": 1e-2, "rows": 1025})
    assert train(many, home / "runs/arc") == 0
    return home


def write(tokens):
    return task_of(SUDOKU).write(SUDOKU, tokens)


@pytest.fixture(scope="module", params=["runs/demo", "exported/demo"])
def model(home, request):
    return trm_jax.load(home / request.param)


def test_importing_costs_nothing():
    code = (
        "import sys, trm_jax; dir(trm_jax).index('load'); print({'jax', 'numpy'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
    assert trm_jax.UserError is UserError
    with pytest.raises(AttributeError, match="no attribute 'lode'"):
        _ = trm_jax.lode


def test_answers_are_those_of_trm_solve(home, model):
    inputs = np.load(home / "runs/demo/data/inputs.npy")[:5]
    texts = [write(tokens) for tokens in inputs]
    found = model.solve(texts)
    trained = load(home / "runs/demo")

    def solved(steps):
        rollout = Rollout(trained.model, trained.mesh, steps, len(inputs))
        return solve(rollout, trained.weights, trained.manifest, inputs)

    for one, other in zip(found, solved(3), strict=True):
        assert one.text == write(other.answer) and one.broken == tuple(other.broken)
        assert one.solved == (not other.broken) and one.steps == other.steps
        assert one.confidence == pytest.approx(other.confidence[-1], abs=1e-6)
        digits = [int(character.replace(".", "0")) for character in one.text]
        np.testing.assert_array_equal(one.answer, np.reshape(digits, (4, 4)))
    shallow = model.solve(texts, steps=2)
    for one, other in zip(shallow, solved(2), strict=True):
        assert one.text == write(other.answer)


def test_every_form_of_a_puzzle_is_the_same_puzzle(model):
    forms = [
        PUZZLE,
        [PUZZLE],
        "1...\n..2.\n.3..\n..4.",
        GRID,
        [GRID],
        np.asarray(GRID),
        np.asarray(GRID, np.uint8).reshape(1, 16),
        list(np.asarray(GRID).reshape(16)),
    ]
    answers = [model.solve(form) for form in forms]
    assert all(len(found) == 1 and found[0].text == answers[0][0].text for found in answers)
    answer = answers[0][0].answer
    assert answer.shape == (4, 4) and answer.dtype == np.int64 and answer.max() <= 4
    assert [a.text for a in model.solve([GRID, GRID])] == [answers[0][0].text] * 2


@pytest.mark.parametrize(
    ("puzzles", "settings", "words"),
    [
        ("1" * 15, {}, "the puzzle has 15 cells and a 4x4 Sudoku has 16"),
        (
            np.zeros((9, 9), int),
            {},
            r"an array \[9, 9\]; give texts, or arrays of \[16\] or \[4, 4\]",
        ),
        ([[1, 2], [3]], {}, "a list of elements with different shapes"),
        (np.full((4, 4), 5), {}, "Puzzle 1: .* has cells other than integers from 0 to 4"),
        (np.zeros((4, 4)), {}, "Puzzle 1: .* has cells other than integers"),
        (["11.............."], {}, "Puzzle 1 contradicts itself"),
        (["123....4........"], {}, "Puzzle 1 has no solution"),
        ([], {}, "no puzzle"),
        (PUZZLE, {"steps": 0}, "steps is 0"),
        (PUZZLE, {"copies": 3}, "the task 'sudoku' has no .*demonstrations; leave copies"),
        (PUZZLE, {"fit_updates": 3}, "the task 'sudoku' has no .*leave copies and fit_updates"),
    ],
)
def test_mistakes_get_one_sentence(model, puzzles, settings, words):
    with pytest.raises(UserError, match=words):
        model.solve(puzzles, **settings)


def test_an_export_takes_no_more_steps_than_it_has(home):
    assert trm_jax.load(home / "runs/demo").solve(PUZZLE, steps=5)
    with pytest.raises(UserError, match="steps is 5, but the model was exported with 3"):
        trm_jax.load(home / "exported/demo").solve(PUZZLE, steps=5)


def test_paths_that_are_no_model(home, tmp_path):
    with pytest.raises(UserError, match="does not exist; give a work directory"):
        trm_jax.load(tmp_path / "nowhere")
    with pytest.raises(UserError, match="neither a work directory, .* nor an export"):
        trm_jax.load(tmp_path)
    with pytest.raises(UserError, match="has one checkpoint"):
        trm_jax.load(home / "exported/demo", checkpoint=4)
    with pytest.raises(UserError, match="no checkpoint 99"):
        trm_jax.load(home / "runs/demo", checkpoint=99)
    (tmp_path / "manifest.json").write_text('{"trm_export": 1}')
    with pytest.raises(UserError, match=r"manifest.json lacks 'sha256'; export the model again"):
        trm_jax.load(tmp_path)


def test_mazes_are_text_or_characters():
    maze = ["#####", "#S..#", "#.#.#", "#..G#", "#####"]
    line = "".join(maze)
    rows, task = [list(row) for row in maze], task_of(MAZE)
    for form in (line, [line], np.asarray(rows), np.asarray(rows).reshape(25), [rows]):
        questions = as_questions(MAZE, form)
        assert questions.shape == (1, 25)
        assert task.write(MAZE, questions[0]) == line.replace(".", " ")
    drawn = task.write_array(MAZE, questions[0])
    assert drawn.shape == (5, 5) and drawn[3, 3] == "G"
    with pytest.raises(UserError, match="Puzzle 1: .*an array of int64; give text, or characters"):
        as_questions(MAZE, np.zeros((5, 5), int))


@pytest.fixture(scope="module")
def arc_export(home):
    save(load(home / "runs/arc"), home / "exported/arc", Form(steps=3))
    return trm_jax.load(home / "exported/arc")


def test_arc_tasks_are_answered_alike_by_run_and_export(home, arc_export):
    trained = trm_jax.load(home / "runs/arc")
    tasks = {
        n: record(some_task(n, most=4, tests=2), solved=n == "test1") for n in ("test1", "test0")
    }
    mine, theirs = (model.solve(tasks) for model in (trained, arc_export))
    assert [one.name for one in mine] == ["test1", "test1", "test0", "test0"]
    for one, other in zip(mine, theirs, strict=True):
        np.testing.assert_array_equal(one.answer, other.answer)
        np.testing.assert_array_equal(one.second, other.second)
        assert one.solved == other.solved and one.confidence is None
        assert one.answer.dtype == np.int64 and one.answer.ndim == 2
    assert [one.solved is None for one in mine] == [False, False, True, True]
    fewer = arc_export.solve(tasks, steps=1, copies=0)
    assert len(fewer) == 4 and fewer[0].steps == 1


def test_an_export_refuses_tasks_it_was_not_trained_on(arc_export):
    new = record(some_task("new", most=4))
    with pytest.raises(UserError, match="task 'task' is not in the puzzle table of this exported"):
        arc_export.solve(new)
    with pytest.raises(UserError, match="some of the copies are not in the puzzle table"):
        arc_export.solve({"test1": record(some_task("test1", most=4, tests=2))}, copies=9)
    with pytest.raises(UserError, match="does not train; leave fit_updates out"):
        arc_export.solve(new, fit_updates=3)
    with pytest.raises(UserError, match="solves tasks, and this is a list"):
        arc_export.solve([new])
    with pytest.raises(UserError, match="canvas"):
        arc_export.solve({"wide": record(some_task("wide", most=9))})
    with pytest.raises(UserError, match="solve, task x: 'test' is missing or empty"):
        arc_export.solve({"x": {"train": new["train"], "test": []}})


def examples(page, language):
    text = (runs.ROOT / page).read_text()
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def test_the_documentations_examples_run(home, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(home)
    names: dict = {}
    *python, arc = examples("docs/reference/python.md", "python")
    assert len(python) == 2 and "runs/arc" in arc
    for code in python:
        exec(code, names)
    (command,) = examples("docs/reference/python.md", "bash")
    _, *arguments = shlex.split(command.replace("exported/demo", str(tmp_path / "demo")))
    assert main(arguments) == 0
    assert (
        "same answers as the library's own rollout on 8 puzzles (heldout)"
        in capsys.readouterr().out
    )
    (code,) = examples(tmp_path / "demo/README.md", "python")[:1]
    place = code.replace("this/directory or hf://owner/name", str(tmp_path / "demo"))
    exec(place, {"puzzles": GRID})


@pytest.mark.slow
def test_the_documentations_example_of_arc_runs(home, monkeypatch, capsys):
    monkeypatch.chdir(home)
    exec(examples("docs/reference/python.md", "python")[2], {"trm_jax": trm_jax})
    assert "a new task" in capsys.readouterr().out
