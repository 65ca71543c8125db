"""CSV files: read exactly, or refused with file, line and reason."""

import builtins
import gzip
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from trm_jax.core.errors import UserError
from trm_jax.data import csv_rows
from trm_jax.data.format import load, save
from trm_jax.tasks.sudoku.build import build, build_test
from trm_jax.tasks.sudoku.generate import generate
from trm_jax.tasks.sudoku.read import hub_file, read_csv
from trm_jax.tasks.sudoku.sudoku import Sudoku

REAL = Path(__file__).parents[4] / "shared" / "data" / "sudoku-hard" / "train.csv.gz"
FOUR = Sudoku(2, 2)
PUZZLES = generate(FOUR, 0, 30, 4)
HEADER = "source,question,answer,rating"


def good_lines():
    texts = zip(*(map(FOUR.format_line, side) for side in PUZZLES), strict=True)
    return [HEADER, *(f"made,{question},{answer},0" for question, answer in texts)]


def write(path, lines):
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def file(tmp_path):
    return tmp_path / "puzzles.csv"


def assert_puzzles(path):
    for got, expected in zip(read_csv(path, FOUR), PUZZLES, strict=True):
        np.testing.assert_array_equal(got, expected)
        assert got.dtype == np.uint8


def test_plain_and_gzipped(file):
    write(file, good_lines())
    assert_puzzles(file)
    zipped = file.with_suffix(".csv.gz")
    zipped.write_bytes(gzip.compress(file.read_bytes()))
    assert_puzzles(zipped)
    assert_puzzles(zipped.rename(file.with_name("disguised.csv")))


def test_columns_go_by_name_and_spelling_is_free(file):
    rows = [line.split(",") for line in good_lines()[1:]]
    swapped = [f"{answer},{question.replace('.', '0')}" for _, question, answer, _ in rows]
    write(file, ["answer,Question", *swapped])
    assert_puzzles(file)
    quoted = [f'"two\nlines, one field",{",".join(row[1:])}\r' for row in rows]
    file.write_text("\ufeff" + "\n".join([HEADER + "\r", *quoted]))
    assert_puzzles(file)


@pytest.mark.parametrize("names", ["Mission,Solution", "unsolved,solved", "board,answer"])
def test_names_that_people_give(file, names):
    rows = [",".join(line.split(",")[1:3]) for line in good_lines()[1:]]
    assert_puzzles(write(file, [names, *rows]))


def test_blocks_make_no_difference(file, monkeypatch):
    monkeypatch.setattr(csv_rows, "_BLOCK_CELLS", 7 * FOUR.cells + 1)
    assert_puzzles(write(file, good_lines()))
    lines = good_lines()
    lines[20] = lines[20].replace("made,", "made,,")
    with pytest.raises(UserError, match="line 21"):
        read_csv(write(file, lines), FOUR)


def change(line, column, text):
    fields = line.split(",")
    fields[column] = text(fields[column]) if callable(text) else text
    return ",".join(fields)


def wrong_digit(answer):
    return ("1" if answer[0] != "1" else "2") + answer[1:]


BAD_ROWS = {
    "short question": (1, lambda text: text[:-1], "question has 15 characters"),
    "long answer": (2, lambda text: text + "1", "answer has 17 characters"),
    "letter": (1, lambda text: "z" + text[1:], "'z' at place 1"),
    "digit too large": (2, lambda text: text[:5] + "5" + text[6:], "'5' at place 6"),
    "not ASCII": (1, lambda text: text[:5] + "\u0663" + text[6:], "place 6"),
    "wrong answer": (2, wrong_digit, "does not solve"),
    "blank in answer": (2, lambda text: "." + text[1:], "does not solve"),
    "another puzzle's answer": (2, "1234341221434321", "does not solve"),
    "too many fields": (3, "0,0", "5 fields"),
    "too few fields": (0, "", None),
    "open quote": (0, '"made', "CSV"),
}


@pytest.mark.parametrize("kind", BAD_ROWS)
def test_bad_rows_are_refused(file, kind):
    column, text, message = BAD_ROWS[kind]
    lines = good_lines()
    lines[12] = change(lines[12], column, text)
    if kind == "too few fields":
        lines[12], message = lines[12][1:], "3 fields"
    with pytest.raises(UserError, match=message) as error:
        read_csv(write(file, lines), FOUR)
    assert str(file) in str(error.value)
    assert kind == "open quote" or "line 13:" in str(error.value)


def test_valid_grid_that_changes_a_given_is_refused(file):
    lines = good_lines()
    answer = lines[3].split(",")[2]
    lines[3] = change(lines[3], 2, answer.translate(str.maketrans("1234", "2341")))
    with pytest.raises(UserError, match="line 4: .*given"):
        read_csv(write(file, lines), FOUR)


def test_the_line_is_that_of_the_file_not_of_the_row(file):
    lines = good_lines()
    lines[3] = '"two\nlines"' + lines[3].removeprefix("made")
    lines[12] = change(lines[12], 1, "?")
    with pytest.raises(UserError, match="line 14:"):
        read_csv(write(file, lines), FOUR)


def test_duplicates_are_refused(file):
    lines = good_lines()
    with pytest.raises(UserError, match="line 32: .* line 6"):
        read_csv(write(file, [*lines, lines[5]]), FOUR)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "empty"),
        ([HEADER], "no puzzles"),
        (["source,answer"], "no column 'question'"),
        (["question;reply"], "no column 'answer'"),
        (["question"], "no column 'answer'"),
        (["question,answer,question"], "there are two columns 'question'"),
    ],
)
def test_bad_headers_are_refused(file, lines, message):
    file.write_text("\n".join(lines))
    with pytest.raises(UserError, match=message):
        read_csv(file, FOUR)


def test_torn_and_damaged_files_are_refused(tmp_path, file):
    path = tmp_path / "puzzles.csv.gz"
    whole = gzip.compress("\n".join(good_lines()).encode())
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 0xFF
    for content in (whole[:-20], whole[: len(whole) // 2], bytes(flipped), b"question,answer\n"):
        path.write_bytes(content)
        with pytest.raises(UserError, match="puzzles.csv.gz is damaged"):
            read_csv(path, FOUR)
    file.write_text("\n".join(good_lines())[:-25])
    with pytest.raises(UserError, match="line 31:"):
        read_csv(file, FOUR)
    with pytest.raises(UserError, match="cannot be read"):
        read_csv(tmp_path / "none.csv", FOUR)
    with pytest.raises(UserError, match="cannot be read"):
        read_csv(tmp_path, FOUR)


def test_hub_without_the_extra(monkeypatch):
    real = builtins.__import__

    def missing(name, *args, **kwargs):
        if name == "huggingface_hub":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(UserError, match=r"trm-jax\[hub\]"):
        hub_file("train")


def test_hub(monkeypatch, file):
    calls = []

    def download(repository, name, repo_type):
        calls.append((repository, name, repo_type))
        return str(file)

    fake = types.SimpleNamespace(hf_hub_download=download)
    monkeypatch.setitem(sys.modules, "huggingface_hub", fake)
    write(file, good_lines())
    assert hub_file("test") == file
    assert calls == [("sapientinc/sudoku-extreme", "test.csv", "dataset")]
    source = build_test("hub", (2, 2)).manifest["source"]
    assert (source["kind"], source["repository"]) == ("hub", "sapientinc/sudoku-extreme")

    def offline(*args, **kwargs):
        raise ConnectionError("no route\nmore")

    fake.hf_hub_download = offline
    with pytest.raises(UserError, match="no route.*https.*train.csv.*path") as error:
        build(box=(2, 2), source="hub", train=1, heldout=1, seed=0)
    assert "\n" not in str(error.value)


def rows(dataset, split):
    return [row.tobytes() for row in dataset.inputs[dataset.splits[split]]]


def test_build_from_a_file(file):
    write(file, good_lines())

    def built(**changes):
        return build(**{"box": (2, 2), "source": str(file), "seed": 0, "heldout": 5, **changes})

    small, large = built(train=10, test=3), built(train=0, test=3)
    assert small.manifest["counts"] == {"heldout": 5, "test": 3, "train": 10}
    assert large.manifest["counts"]["train"] == 22
    assert rows(large, "train")[:10] == rows(small, "train")
    for split in ("heldout", "test"):
        assert rows(large, split) == rows(small, split)
    everything = {row for split in ("train", "heldout", "test") for row in rows(large, split)}
    assert len(everything) == 30
    assert built(train=10, test=3).manifest == small.manifest
    assert rows(built(train=10, seed=1), "train") != rows(built(train=10), "train")
    for row in range(len(small.inputs)):
        assert FOUR.check_answer(small.inputs[row], small.labels[row]) == []
    whole = build_test(str(file), (2, 2))
    assert rows(whole, "test") == [row.tobytes() for row in PUZZLES[0]]
    assert "train" not in whole.splits


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train": 26}, "puzzles.csv has 30 puzzles, fewer than the 31"),
        ({"train": 0, "heldout": 30}, "fewer than the 31"),
        ({"train": -1}, "train is -1"),
        ({"box": (2,)}, "box"),
        ({"extra_givens": 3}, "extra_givens"),
        ({"source": "generate", "train": 0}, "train is 0"),
        ({"source": "hub", "test": 3}, "test"),
        ({"box": (3, 3)}, "16 characters instead of 81"),
    ],
)
def test_impossible_requests_are_refused(file, changes, message):
    write(file, good_lines())
    request = {"box": (2, 2), "source": str(file), "seed": 0, "train": 1, "heldout": 5, **changes}
    with pytest.raises(UserError, match=message):
        build(**request)


@pytest.mark.skipif(not REAL.exists(), reason="the real puzzles are not on this machine")
def test_real_puzzles(tmp_path):
    dataset = build(box=(3, 3), source=str(REAL), train=1000, heldout=500, seed=0)
    assert dataset.manifest["counts"] == {"heldout": 500, "train": 1000}
    givens = (dataset.inputs > 1).sum(1)
    assert givens.min() >= 17 and givens.max() < 40
    save(dataset, tmp_path / "set")
    assert load(tmp_path / "set").manifest["fingerprint"] == dataset.manifest["fingerprint"]
