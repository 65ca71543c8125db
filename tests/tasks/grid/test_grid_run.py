"""A model of pairs of grids does all that others do: symbols of two characters, several sizes."""

import json
import subprocess
import sys

import numpy as np
import pytest

import trm_jax
from tests.runs import environment
from trm_jax.cli import main

TINY = [
    *("steps=12", "batch_size=8", "eval_every=12", "checkpoint_every=12", "log_every=6"),
    *("model.width=16", "model.heads=2", "model.layers=1", "model.T=1", "model.N=2"),
    *("model.unroll=False", "eval_batch_size=8", "mesh.data=1"),
]


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Grids of 1x2 to 2x3 numbers; the answer is each row from right to left, without the last."""
    draw, path = np.random.default_rng(0), tmp_path_factory.mktemp("grid") / "pairs.jsonl"
    with path.open("w") as file:
        for number in range(30):
            grid = draw.integers(8, 13, (1 + number % 2, 2 + number % 3 % 2)).tolist()
            answer = [row[::-1][:-1] for row in grid]
            file.write(json.dumps({"question": grid, "answer": answer}) + "\n")
    return path


@pytest.fixture(scope="module")
def workdir(source, tmp_path_factory):
    root = tmp_path_factory.mktemp("grid") / "run"
    settings = [f"--config.{each}" for each in [*TINY, f"data.path={source}"]]
    command = ["train", "--config=grid:small", "--config.data.grid.canvas=True", *settings]
    assert main([*command, f"--workdir={root}"]) == 0
    return root


def test_evaluate_on_its_own_and_on_another_file(workdir, source, capsys):
    assert main(["eval", f"--workdir={workdir}", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["split"] == "heldout" and len(found["by_depth"]) == 2
    assert main(["eval", f"--workdir={workdir}", f"--data={source}", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["split"] == "test"


def test_solve_in_and_out_as_text(workdir, tmp_path, capsys):
    page, gif, png = (tmp_path / f"out.{kind}" for kind in ("html", "gif", "png"))
    outputs = [f"--trace={page}", f"--gif={gif}", f"--picture={png}"]
    code = main(["solve", f"--workdir={workdir}", "--json", *outputs[:2], "8 12/9 11"])
    record = json.loads(capsys.readouterr().out)
    assert code == 0 and record["question"] == "8 12 / 9 11" and record["solved"] is None
    assert page.read_text().count("<html") == 1 and gif.read_bytes()[:3] == b"GIF"
    assert main(["solve", f"--workdir={workdir}", "8 12", "10 9 11"]) == 0
    said = capsys.readouterr().out
    assert said.count("the task has no rules to check the answer") == 2
    assert main(["solve", f"--workdir={workdir}", "8 13"]) == 2
    assert "symbol '13' at place 2" in capsys.readouterr().err


def test_a_file_of_questions_is_solved(workdir, source, capsys):
    assert main(["solve", f"--workdir={workdir}", str(source), "--json"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 30


def test_show_draws_numbers_of_two_digits(workdir, tmp_path, capsys):
    png = tmp_path / "shown.png"
    command = ["show", f"--workdir={workdir}", "--count=2", f"--picture={png}"]
    assert main(command) == 0
    text = capsys.readouterr().out
    assert text.count("question") == 2 and png.read_bytes()[1:4] == b"PNG"
    widths = {len(line) for line in text.splitlines() if line.startswith("┌")}
    assert widths, "boards have frames"


def test_the_python_api_takes_lists_and_texts(workdir):
    solver = trm_jax.load(workdir)
    one, other = solver.solve([[[8, 12], [9, 11]], [[10, 9, 11]]])
    text = solver.solve("8 12/9 11")[0]
    assert one.solved is None and text.text == one.text and other.answer.ndim == 2
    assert (solver.solve(np.asarray([[8, 12], [9, 11]]))[0].answer == one.answer).all()


@pytest.mark.slow
def test_the_export_answers_alone(workdir, tmp_path, capsys):
    out = tmp_path / "export"
    assert main(["export", f"--workdir={workdir}", f"--out={out}"]) == 0
    assert "same answers" in capsys.readouterr().out
    run = subprocess.run(
        [sys.executable, str(out / "load.py"), "8 12 / 9 11", "10 9 11"],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    lines = [line.rpartition("  ")[0] for line in run.stdout.splitlines()]
    solver = trm_jax.load(out)
    assert lines == [each.text for each in solver.solve(["8 12 / 9 11", "10 9 11"])]


@pytest.mark.slow
def test_plan_and_questions_of_a_data_set(source, tmp_path, capsys):
    data = tmp_path / "data"
    command = [
        "data",
        "grid",
        f"--source={source}",
        f"--out={data}",
        "--canvas",
        "--test_share=0.2",
    ]
    assert main(command) == 0
    said = capsys.readouterr().out
    assert "train 20, heldout 3, test 6" in said and "grids of up to 2x3 cells" in said
    assert main(["data", str(data)]) == 0
    capsys.readouterr()
    settings = [f"--config.{each}" for each in [*TINY, f"data.path={data}"]]
    assert main(["bench", "--config=grid:small", *settings, "--what=train", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["examples_per_s"] > 0
