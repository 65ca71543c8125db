"""What `trm show` and `trm solve` refuse before anything is drawn or solved."""

import pytest

from trm_jax.cli import main
from trm_jax.commands.puzzle_sources import sources
from trm_jax.core.errors import UserError
from trm_jax.show import figures

SHAPE = {"task": "sudoku", "box": [2, 2], "vocab": 6, "cells": 16}


def refusal(capsys, *arguments):
    assert main(["show", *map(str, arguments)]) == 2
    return capsys.readouterr().err


def test_a_work_directory_is_taken_as_one_and_its_files_are_no_source(tmp_path, capsys):
    (tmp_path / "config.json").write_text("{}")
    assert f"{tmp_path}/config.json is damaged" in refusal(capsys, tmp_path)
    error = refusal(capsys, tmp_path / "config.json")
    assert "neither a work directory nor a dataset nor a file of puzzles" in error


@pytest.mark.parametrize("name", ["x.foo", "x", "x.png.jpg"])
def test_other_pictures_than_png_are_refused_first(tmp_path, capsys, name):
    picture = tmp_path / name
    assert "give a name that ends in .png" in refusal(capsys, "nothing", "--picture", picture)
    assert not list(tmp_path.iterdir())


def test_png_is_taken_in_any_case():
    for path in (None, "a.png", "A.PNG"):
        figures.check_picture("--picture", path)


def test_a_picture_that_cannot_be_written_is_named():
    with pytest.raises(UserError, match="/proc/x.png cannot be written"):
        figures.save(figures.empty_figure((1, 1)), "/proc/x.png")


@pytest.mark.parametrize(
    "argument", ["/nope.csv", "nope.csv", "no/file", "x.gz", "puzzles", "my_puzzles_of_today", "s4"]
)
def test_a_missing_file_is_no_puzzle(argument):
    with pytest.raises(UserError, match=f"^{argument}: no such file"):
        sources([argument], [SHAPE])


def test_a_missing_file_is_named_where_no_model_is_known():
    with pytest.raises(UserError, match="^nope.txt: no such file"):
        sources(["nope.txt"], [])
    assert sources(["1..."], []) == [("1...", "")]


def test_nothing_is_no_directory():
    assert sources(["", " "], [SHAPE]) == []


def test_a_directory_is_no_puzzle(tmp_path):
    with pytest.raises(UserError, match="is a directory"):
        sources([str(tmp_path)], [SHAPE])


@pytest.mark.parametrize("puzzle", ["1.3.4.2.........", "12x4............", "1..."])
def test_puzzles_are_left_to_the_task(puzzle):
    assert sources([puzzle], [SHAPE]) == [(puzzle, "")]
