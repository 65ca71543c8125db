"""Maze datasets: from files read exactly or refused with the line, and from the generator."""

import gzip
import json
import sys
import types

import numpy as np
import pytest

from trm_jax.core.errors import UserError
from trm_jax.data.format import load, save
from trm_jax.tasks.maze.build import build, build_test, statistics
from trm_jax.tasks.maze.generate import generate
from trm_jax.tasks.maze.maze import Maze
from trm_jax.tasks.maze.read import hub_file, read_csv

EIGHT = Maze(8)
MAZES = generate(EIGHT, 0, 30)
HEADER = "source,question,answer,rating"


def good_lines():
    texts = zip(*(map(EIGHT.format_line, side) for side in MAZES), strict=True)
    return [
        HEADER,
        *(f"made,{question},{answer},{8 + i}" for i, (question, answer) in enumerate(texts)),
    ]


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "mazes.csv"
    path.write_text("\n".join(good_lines()) + "\n")
    return path


def assert_mazes(path):
    for got, expected in zip(read_csv(path, EIGHT), MAZES, strict=True):
        np.testing.assert_array_equal(got, expected)
        assert got.dtype == np.uint8


def test_plain_gzipped_and_dotted(file):
    assert_mazes(file)
    zipped = file.with_suffix(".csv.gz")
    zipped.write_bytes(gzip.compress(file.read_bytes().replace(b" ", b".")))
    assert_mazes(zipped)


def changed(row, column, edit):
    """Lines of a file whose row (from 0) has its question (1) or answer (2) edited."""
    lines = good_lines()
    fields = lines[row + 1].split(",")
    fields[column] = edit(fields[column])
    return [*lines[: row + 1], ",".join(fields), *lines[row + 2 :]]


def swap(old, new):
    return lambda text: text.replace(old, new, 1)


BAD_ROWS = {
    "short question": (1, lambda text: text[:-1], "question has 63 .* instead of 64.*side"),
    "long answer": (2, lambda text: text + "#", "answer has 65 characters"),
    "no cell": (
        1,
        lambda text: "x" + text[1:],
        "'x' at place 1 of the question is not a symbol; use '#'",
    ),
    "no start": (1, swap("S", " "), "question cannot be solved .*0 cells S instead of one"),
    "two goals": (1, swap(" ", "G"), "2 cells G instead of one"),
    "path in question": (1, swap(" ", "o"), "question cannot .* is path already"),
    "wall removed": (2, swap("#", " "), "answer does not solve .*became free, and was a wall"),
    "goal moved": (2, lambda text: text.replace("G", " ").replace("o", "G", 1), "became the goal"),
    "path broken": (2, swap("o", " "), "answer does not solve the question \\((the )?path "),
    "no path": (2, lambda text: text.replace("o", " "), "the path from S ends"),
}


@pytest.mark.parametrize("name", BAD_ROWS)
def test_bad_rows_are_refused_with_file_and_line(file, name):
    column, edit, message = BAD_ROWS[name]
    file.write_text("\n".join(changed(10, column, edit)))
    with pytest.raises(UserError, match=message) as error:
        read_csv(file, EIGHT)
    assert str(error.value).startswith(f"{file}, line 12: ")
    assert "\n" not in str(error.value)


def test_extra_path_is_refused_and_a_longer_path_is_not(file):
    question = "S" + " " * 6 + "G" + " " * 56
    straight, around = list(question), list(question)
    for cell in range(1, 7):
        straight[cell] = "o"
    for cell in [8, 16, *range(17, 24), 15]:
        around[cell] = "o"
    branched = [*straight[:11], "o", *straight[12:]]
    lines = [HEADER, f"made,{question},{''.join(around)},0", good_lines()[1]]
    file.write_text("\n".join(lines))
    data = build_test(str(file), 8)
    assert data.manifest["source"]["statistics"]["shortest_labels"] == 0.5
    lines[1] = f"made,{question},{''.join(branched)},0"
    file.write_text("\n".join(lines))
    with pytest.raises(UserError, match="line 2: .*1 cell too many"):
        read_csv(file, EIGHT)


def test_duplicates_are_refused(file):
    lines = good_lines()
    file.write_text("\n".join([*lines, lines[5]]))
    with pytest.raises(UserError, match="line 32: .* line 6"):
        read_csv(file, EIGHT)


def rows(dataset, split):
    return [row.tobytes() for row in dataset.inputs[dataset.splits[split]]]


def test_build_from_a_file(file, tmp_path):
    def built(**changes):
        return build(**{"side": 8, "source": str(file), "seed": 0, "heldout": 5, **changes})

    small, large = built(train=10, test=3), built(train=0, test=3)
    assert small.manifest["counts"] == {"heldout": 5, "test": 3, "train": 10}
    assert large.manifest["counts"]["train"] == 22
    assert rows(large, "train")[:10] == rows(small, "train")
    for split in ("heldout", "test"):
        assert rows(large, split) == rows(small, split)
    assert len({row for split in large.splits for row in rows(large, split)}) == 30
    assert rows(built(train=10, seed=1), "train") != rows(built(train=10), "train")
    whole = build_test(str(file), 8)
    assert rows(whole, "test") == [row.tobytes() for row in MAZES[0]]
    assert "train" not in whole.splits
    save(small, tmp_path / "set")
    assert load(tmp_path / "set").manifest == small.manifest


def test_build_from_the_generator():
    data = build(side=8, source="generate", train=20, heldout=5, test=5, seed=3, shortest=9)
    manifest = data.manifest
    assert manifest["counts"] == {"heldout": 5, "test": 5, "train": 20}
    facts = {key: manifest[key] for key in ("task", "side", "vocab", "cells", "table_rows", "seed")}
    assert facts == {"task": "maze", "side": 8, "vocab": 6, "cells": 64, "table_rows": 1, "seed": 3}
    assert manifest["source"]["recipe"] == {
        "kind": "random",
        "wall_share": 0.37,
        "shortest": 9,
        "longest": 0,
        "tie_break": "down,left,right,up",
        "endpoints": "far",
    }
    assert json.loads(json.dumps(manifest)) == manifest
    expected = generate(EIGHT, 3, 30, shortest=9)[0]
    assert {row.tobytes() for row in data.inputs} == {row.tobytes() for row in expected}
    assert not data.ids.any()
    again = build(side=8, source="generate", train=20, heldout=5, test=5, seed=3, shortest=9)
    assert again.manifest == manifest


def test_defaults_are_settled_in_the_manifest():
    source = build(side=9, source="generate", train=2, heldout=0, seed=0, kind="perfect").manifest[
        "source"
    ]
    assert (source["recipe"]["shortest"], source["recipe"]["longest"]) == (9, 0)
    assert source["statistics"]["several_shortest_paths"] == 0


def test_statistics():
    texts = ["S  #     " + " " * 15 + "G", "S###G" + "ooooo".replace("o", " ") + "#" * 15]
    inputs = np.stack([Maze(5).parse(text) for text in texts])
    labels = inputs.copy()
    labels[0, [1, 2, 7, 8, 9, 14, 19]] = 5  # one of several ways round the wall
    labels[1, 5:10] = 5
    assert statistics(inputs, labels, 5) == {
        "path_steps": {"min": 6, "median": 7.0, "max": 8},
        "wall_share": round((1 + 18) / 50, 4),
        "shortest_labels": 1.0,
        "several_shortest_paths": 0.5,
    }
    many = statistics(np.repeat(inputs, 2000, 0), np.repeat(labels, 2000, 0), 5)
    assert many == statistics(inputs, labels, 5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train": 26}, "mazes.csv has 30 puzzles, fewer than the 31"),
        ({"train": -1}, "train is -1"),
        ({"side": 4}, "side is 4"),
        ({"side": 9}, "line 2: the question has 64 characters instead of 81; .*another side"),
        ({"source": "generate", "train": 0}, "train is 0"),
        ({"source": "generate", "kind": "hard"}, "kind is 'hard'"),
        ({"source": "hub", "test": 3}, "hub has a test file"),
        ({"kind": "perfect"}, "kind is 'perfect', but mazes from .*mazes.csv"),
        ({"shortest": 8}, "shortest is 8, but mazes .* leave it at 0"),
        ({"source": "none.csv"}, "none.csv cannot be read"),
    ],
)
def test_impossible_requests_are_refused(file, changes, message):
    request = {"side": 8, "source": str(file), "seed": 0, "train": 1, "heldout": 5, **changes}
    with pytest.raises(UserError, match=message):
        build(**request)


def test_hub(monkeypatch, file):
    calls = []

    def download(repository, name, repo_type):
        calls.append((repository, name, repo_type))
        return str(file)

    fake = types.SimpleNamespace(hf_hub_download=download)
    monkeypatch.setitem(sys.modules, "huggingface_hub", fake)
    assert hub_file("train") == file
    assert calls == [("sapientinc/maze-30x30-hard-1k", "train.csv", "dataset")]
    source = build_test("hub", 8).manifest["source"]
    assert (source["kind"], source["repository"]) == ("hub", "sapientinc/maze-30x30-hard-1k")
    assert calls[1][1] == "test.csv"

    def offline(*args, **kwargs):
        raise ConnectionError("no route")

    fake.hf_hub_download = offline
    with pytest.raises(UserError, match=r"no route.*https.*maze-30x30-hard-1k/.*train.csv.*path"):
        build(side=30, source="hub", train=1, heldout=1, seed=0)
