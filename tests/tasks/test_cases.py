"""Whatever a file holds: puzzles, or one sentence that names it."""

import random
from pathlib import Path

import pytest

from tests.tasks.maze.test_floor import ONE as MAZES
from tests.tasks.sudoku.test_notation import ONE as SUDOKUS
from trm_jax.core.errors import UserError
from trm_jax.core.textfiles import read_text
from trm_jax.tasks.arc.read import read_file
from trm_jax.tasks.maze.maze import Maze
from trm_jax.tasks.sudoku.sudoku import Sudoku
from trm_jax.tasks.texts import Source, read_puzzles

CASES = Path(__file__).parents[3] / "shared" / "cases"
NINE = {"task": "sudoku", "box": [3, 3], "vocab": 11, "cells": 81}
SEVEN = {"task": "maze", "side": 7}
NOISE = "0123456789.-*?xX_|+=#;:,[]{}'\" \t\nABGSEo/\u2502\u2500\u0663"


@pytest.mark.parametrize(("parse", "forms"), [(Sudoku(3, 3), SUDOKUS), (Maze(5), MAZES)])
def test_damaged_texts_are_read_or_refused_in_one_sentence(parse, forms):
    draw = random.Random(0)
    texts = list(forms.values())
    for _ in range(1500):
        text = list(draw.choice(texts))
        for _ in range(draw.randrange(1, 6)):
            place = draw.randrange(len(text))
            text[place : place + draw.randrange(3)] = draw.choices(NOISE, k=draw.randrange(3))
        try:
            found = parse.parse_all("".join(text))
        except UserError as error:
            assert "\n" not in str(error)
        else:
            assert all(given.tokens.shape == (parse.cells,) for given in found)


def test_errors_name_the_file_and_the_line():
    good = "\n".join(SUDOKUS["rows"].splitlines())
    twice = "55" + good[2:]
    for text, words in (
        (f"{good}\n\n{good[:-1]}", "mine.txt, line 19: the line has 8 cells"),
        (f"{good}\n\n{twice}", "mine.txt, line 11: the puzzle contradicts itself: digit 5"),
        ("# nothing", "mine.txt holds no puzzle"),
    ):
        with pytest.raises(UserError, match=f"^{words}"):
            read_puzzles(NINE, [Source(text, "mine.txt")])
    with pytest.raises(UserError, match="^Puzzle 2 contradicts itself"):
        read_puzzles(NINE, [Source(good), Source(twice)])
    with pytest.raises(UserError, match="^Puzzle 2: the puzzle has 80 cells"):
        read_puzzles(NINE, [Source(good), Source(good.replace("\n", "")[1:])])


READ = """bom.txt bom_crlf.sdm comment.sdm sdk.sdk ss.ss tdoku.txt star.txt q.txt dash.txt caps.csv
sp.txt multi.txt kaggle_1m.csv kaggle_3m.csv commas.txt nbsp.txt fullwidth.txt"""


@pytest.mark.skipif(not CASES.exists(), reason="the cases are not there")
def test_the_cases_that_people_have():
    for name in READ.split():
        assert read_puzzles(NINE, [Source(read_text(CASES / "sudoku" / name), name)]), name
    for name in ("E.txt", "lower.txt", "multi.txt", "one.txt", "trim.txt", "zeroone.txt"):
        assert read_puzzles(SEVEN, [Source(read_text(CASES / "maze" / name), name)]), name
    for path in sorted((CASES / "arc").glob("*.json*")):
        try:
            assert read_file(path)
        except UserError as error:
            assert path.name in str(error) and "\n" not in str(error)
