"""Futoshiki and Numberlink from the command line: training, evaluation, text in and out."""

import json

import numpy as np
import pytest

import trm_jax
from tests import runs
from trm_jax.cli import main
from trm_jax.config.experiment import from_dict
from trm_jax.data.format import load
from trm_jax.tasks.task import task_of
from trm_jax.train.loop import train

TASKS = {"futoshiki": {"side": 3, "extra_clues": 3}, "numberlink": {"side": 5, "letters": 5}}


@pytest.fixture(scope="module", params=TASKS)
def workdir(request, tmp_path_factory):
    data = {"task": request.param, "path": "generate", "base_examples": 30, "heldout_examples": 10}
    path = tmp_path_factory.mktemp(request.param)
    data[request.param] = TASKS[request.param]
    assert train(from_dict(runs.CONFIG | {"data": data}), path) == 0
    return path


def test_it_is_scored_solved_by_the_rules_and_drawn(workdir, capsys, tmp_path):
    assert main(["eval", f"--workdir={workdir}", "--steps=2", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    data = load(workdir / "data")
    task, shape = task_of(data.manifest), data.manifest
    assert len(result["by_depth"]) == 2 and set(task.scores) <= set(result)
    lines = [task.write(shape, question) for question in data.inputs[:3]]
    file, page, picture = (tmp_path / f"out.{kind}" for kind in ("txt", "html", "png"))
    file.write_text("\n".join(lines) + "\n")
    outputs = [f"--trace={page}", f"--picture={picture}", "--json"]
    code = main(["solve", f"--workdir={workdir}", *outputs, str(file)])
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [record["question"] for record in found] == lines
    assert code == (0 if all(record["solved"] for record in found) else 1)
    for record, label in zip(found, data.labels, strict=False):
        assert record["solved"] == (not record["broken"])
        assert record["solved"] == (record["answer"] == task.write(shape, label))
    assert page.read_text().count("<html") == 1 and picture.read_bytes()[1:4] == b"PNG"
    assert main(["show", f"--workdir={workdir}", "--count=1"]) == 0
    shown = capsys.readouterr().out
    assert "prediction" in shown
    end = shown.index("┐") + 1  # of the first line of the board on the left, the question
    width = end - 1 - shown.rindex("\n", 0, end)
    block = [line[:width] for line in shown.splitlines() if line[:1] in ("┌", "│", "└")]
    (tmp_path / "drawn.txt").write_text("\n".join(block))
    main(["solve", f"--workdir={workdir}", "--json", str(tmp_path / "drawn.txt")])
    question = json.loads(capsys.readouterr().out)["question"]
    assert question in [task.write(shape, each) for each in data.inputs]


def test_the_library_solves_it(workdir):
    data = load(workdir / "data")
    task, shape = task_of(data.manifest), data.manifest
    solver = trm_jax.load(workdir)
    (found,) = solver.solve([task.write(shape, data.inputs[0])])
    board = task.board(shape)
    assert np.asarray(found.answer).shape == (board.rows, board.columns)
    assert found.solved == (not found.broken)


def test_what_is_no_puzzle_is_refused_in_one_sentence(workdir, capsys):
    assert main(["solve", f"--workdir={workdir}", "x" * 25]) == 2
    err = capsys.readouterr().err
    assert err.startswith("trm: Puzzle 1: ") and err.count("\n") == 1 and "'x'" in err
