"""`trm models`, and the other commands and the Python API with a released model."""

import json
import re

import numpy as np
import pytest

import trm_jax
from tests import runs
from tests.released.test_pairs import PUZZLE, change
from trm_jax.cli import main
from trm_jax.core.errors import UserError
from trm_jax.released import cards, writing
from trm_jax.released.cards import cards as all_cards
from trm_jax.released.listing import markdown

OWN = cards.FOLDER
ADD = ("models", "--add", "--command=trm train ...", "--hardware=2 CPU cores")


def told(capsys, *arguments, code=0):
    assert main([str(each) for each in arguments]) == code
    return capsys.readouterr()


def fails(capsys, *arguments):
    """Exit code 2, one sentence on stderr, nothing on stdout; gives the sentence."""
    out, err = told(capsys, *arguments, code=2)
    assert not out and err.startswith("trm: ") and err.count("\n") == 1
    return err


def test_models_lists_what_there_is(capsys, folder):
    lines = told(capsys, "models").out.splitlines()
    assert re.split(r"  +", lines[0])[0] == "name" and len(lines) == 3
    name, title, parameters, size, alone, search = re.split(r"  +", lines[1])
    assert (name, title) == ("sudoku-4x4-small", "4x4 Sudoku")
    assert int(parameters.replace(",", "")) > 1000 and re.fullmatch(r"0\.\d\d MB", size)
    assert alone == "50.00% of 90 test" and search == "90.00% of 90 test, 0.00% wrong"


def test_models_shows_and_checks(capsys, folder):
    shown = json.loads(told(capsys, "models", "sudoku-4x4-exact").out)
    assert shown == dict(cards.find("sudoku-4x4-exact").record)
    checked = told(capsys, "models", "--check").out.splitlines()
    assert len(checked) == 2 and all("SHA-256 as in the card, all finite" in c for c in checked)
    change(folder, "sudoku-4x4-exact", sha256="0" * 64)
    assert "SHA-256 differs" in fails(capsys, "models", "sudoku-4x4-exact", "--check")
    assert "did you mean" in fails(capsys, "models", "sudoku-4x4-exac")


def test_models_of_an_empty_folder(capsys, folder, tmp_path):
    assert told(capsys, "models", f"--folder={tmp_path / 'models'}").out.count("\n") == 3
    (tmp_path / "none").mkdir()
    assert told(capsys, "models", f"--folder={tmp_path / 'none'}").out == "None yet.\n"
    assert "is not a directory" in fails(capsys, "models", f"--folder={tmp_path / 'nowhere'}")


def test_add_writes_a_pair(capsys, folder, workdir, tmp_path):
    more = [{"what": "exact_accuracy", "value": 0.25, "puzzles": 7}]
    file = tmp_path / "more.json"
    file.write_text(json.dumps(more))
    flags = (f"--workdir={workdir}", "--name=new", f"--folder={tmp_path}/out", "--rank=3")
    said = fails(capsys, *ADD, *flags, f"--measured={file}")
    assert "measurement 1 has no 'command'" in said
    more[0] |= {"command": "by hand", "hardware": "a desk", "date": "2026-11-26"}
    file.write_text(json.dumps(more))
    out = told(capsys, *ADD, *flags, f"--measured={file}", "--checkpoint=8").out
    assert "new.json and new.npz: checkpoint 8" in out and "4 measurements" in out
    card = cards.find("new", tmp_path / "out")
    assert card.record["measured"][0] == more[0] and card.record["rank"] == 3
    assert "already exists; give another --name" in fails(capsys, *ADD, *flags)
    assert told(capsys, *ADD, *flags, "--overwrite", "--weights=float32")


def test_add_needs_what_a_work_directory_does_not_say(capsys, folder, workdir, monkeypatch):
    place = (f"--workdir={workdir}", "--name=new")
    assert "--command is missing" in fails(capsys, "models", "--add", *place)
    assert "--hardware is missing" in fails(capsys, "models", "--add", "--command=x", *place)
    assert "--workdir is missing" in fails(capsys, *ADD, "--name=new")
    assert "--name is missing" in fails(capsys, *ADD, f"--workdir={workdir}")
    assert "--name is only for --add" in fails(capsys, "models", "--name=x")
    monkeypatch.setattr(writing, "FOLDER", folder / "site-packages/trm_jax/released/models")
    assert "--folder is missing" in fails(capsys, *ADD, *place)


def test_solve_chooses_by_the_puzzle(capsys, folder):
    out, err = told(capsys, "solve", PUZZLE, "--json", code=1)
    assert err == "answered by the released model sudoku-4x4-small\n"
    answer = json.loads(out)
    named, by_name = told(capsys, "solve", PUZZLE, "--json", "--model=sudoku-4x4-small", code=1)
    assert json.loads(named) == answer and not by_name
    (solved,) = trm_jax.load("sudoku-4x4-small").solve(PUZZLE)
    assert solved.text == answer["answer"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["." * 36], "no released model is for a puzzle of 36 cells; there are sudoku-4x4-small"),
        (["9" * 16], "is not a cell of a 4x4 Sudoku"),
        ([], "There is no puzzle to solve"),
        (["no/such.txt"], "no/such.txt: no such file, and it is not a puzzle either"),
        ([PUZZLE, "--checkpoint=8"], "--checkpoint is 8, but the released model"),
        ([PUZZLE, "--model=sudoku-4x4"], "did you mean sudoku-4x4-"),
        ([PUZZLE, "--model="], "--model is empty"),
        ([PUZZLE, "--model=a", "--workdir=b"], "--workdir and --model are both given"),
        ([PUZZLE, "--fit_updates=3"], "leave --fit_updates out"),
    ],
)
def test_solve_refuses_in_one_sentence(capsys, folder, arguments, words):
    assert main(["solve", *arguments]) == 2
    assert words in capsys.readouterr().err.splitlines()[-1]


def test_a_released_model_is_shown_watched_scored_and_exported(capsys, folder, tmp_path):
    page = tmp_path / "trace.html"
    told(capsys, "solve", PUZZLE, f"--trace={page}", code=1)
    assert "sudoku-4x4-small: watch it think" in page.read_text()
    assert told(capsys, "show", "--model=sudoku-4x4-small", "--count=1").out
    flags = ("--model=sudoku-4x4-exact", "--split=heldout", "--json")
    result = json.loads(told(capsys, "eval", *flags).out)
    card = cards.find("sudoku-4x4-exact").record
    (own,) = (each for each in card["measured"] if each["split"] == "heldout")
    assert (result["exact_accuracy"], result["examples"]) == (own["value"], own["puzzles"])
    assert result["fingerprint"] == own["fingerprint"] == card["data"]["fingerprint"]
    out = tmp_path / "exported"
    told(capsys, "export", "--model=sudoku-4x4-small", f"--out={out}")
    scores = json.loads((out / "manifest.json").read_text())["scores"]
    assert scores[0]["scores"] == {"exact_accuracy": 0.5}, "the program does not search"
    text = (out / "README.md").read_text()
    assert "solved_with_search" not in text and "not checked against" in text
    assert "measured before the weights were rounded to bfloat16" in text  # by the release


def test_the_api_takes_names_of_released_models(folder, monkeypatch, tmp_path):
    model = trm_jax.load("sudoku-4x4-exact")
    assert model.kind["cells"] == 16 and model.solve([PUZZLE])[0].answer.dtype == np.int64
    with pytest.raises(UserError, match="is released and has one checkpoint"):
        trm_jax.load("sudoku-4x4-exact", checkpoint=4)
    with pytest.raises(UserError, match=r"sudoku does not exist; .* \(there are sudoku-4x4-small"):
        trm_jax.load("sudoku")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sudoku-4x4-exact").mkdir()
    with pytest.raises(UserError, match="neither a work directory"):
        trm_jax.load("sudoku-4x4-exact")  # a path that is there comes first


def test_the_documentations_table_is_that_of_the_cards():
    text = (runs.ROOT / "docs/how-to/models.md").read_text()
    table = text.partition("<!-- models -->\n")[2].partition("<!-- end -->")[0].strip()
    assert table == markdown(all_cards(OWN)), "`python -m trm_jax.released.listing` prints it"
