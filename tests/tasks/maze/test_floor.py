"""Mazes in the forms that people have them in: all read alike, or refused with line and reason."""

import numpy as np
import pytest

from tests.tasks.maze.test_maze import drawn
from trm_jax.core.errors import UserError
from trm_jax.tasks.given import BadLineError
from trm_jax.tasks.maze.maze import Maze

FIVE = Maze(5)
ROWS = ["S #  ", " # # ", "   # ", "## # ", "   #G"]
QUESTION = "".join(ROWS)
ENDING = ["S   #", "     ", "  #  ", "G    ", "     "]
"""Its last cells are free, as are all of two rows."""

ONE = {
    "a line": QUESTION,
    "rows": "\n".join(ROWS),
    "CRLF": "\r\n".join(ROWS) + "\r\n",
    "dots": "\n".join(ROWS).replace(" ", "."),
    "underscores": QUESTION.replace(" ", "_"),
    "E": QUESTION.replace("G", "E"),
    "lower case": "\n".join(ROWS).lower(),
    "trimmed": "\n".join(row.rstrip() for row in ROWS),
    "cells apart": "\n".join(" ".join(row) for row in ROWS),
    "blocks": "\n".join(ROWS).replace("#", "\u2588"),
    "numbers": "\n".join(ROWS).translate(str.maketrans(" #SG", "0123")),
    "numbers apart": "\n".join(
        " ".join(row.translate(str.maketrans(" #SG", "0123"))) for row in ROWS
    ),
    "Python": str([[" #SG".index(cell) for cell in row] for row in ROWS]).replace("],", "],\n"),
    "Python in a line": str([[" #SG".index(cell) for cell in row] for row in ROWS]),
    "numbers and letters": QUESTION.translate(str.maketrans(" #", "01")),
    "commas": "\n".join(",".join(row.replace(" ", ".")) for row in ROWS),
    "a title": "Maze 1\n" + "\n".join(ROWS),
    "a remark": "# my first maze\n; hard\n" + "\n".join(ROWS),
    "a column": f"source,question,answer\nmine,{QUESTION},x",
    "a mark": "\ufeff" + QUESTION,
}


@pytest.mark.parametrize("form", ONE)
def test_one_maze_in_every_form(form):
    (given,) = FIVE.parse_all(ONE[form])
    assert FIVE.format_line(given.tokens) == QUESTION
    assert not given.note


def test_rows_that_were_trimmed_to_nothing():
    trimmed = "\n".join(row.rstrip() for row in ENDING)
    for text in (trimmed + "\n", trimmed + "\n\n", "\n".join(ENDING)):
        assert FIVE.format_line(FIVE.parse(text)) == "".join(ENDING)
    (given,) = FIVE.parse_all("S" + " " * 10 + "G" + " " * 10)
    assert given.tokens.size == 25 and "has 22 cells" in given.note


def test_several_mazes():
    trimmed = [row.rstrip() for row in ENDING]
    both = [QUESTION, "".join(ENDING)]
    for text in (
        "\n".join(both),
        "\n".join([*ROWS, *ENDING]),
        "\n".join([*ROWS, "", "", *ENDING, ""]),
        "\n".join([*ROWS, "", *trimmed, "", ""]),
        "\n".join([*trimmed, "", *ROWS]),
    ):
        found = [FIVE.format_line(given.tokens) for given in FIVE.parse_all(text)]
        assert sorted(found) == sorted(both), text


@pytest.mark.parametrize("colour", [False, True])
def test_what_trm_solve_draws_is_read_back(colour):
    question = FIVE.parse(QUESTION)
    answer = question.copy()
    answer[[5, 10]] = 5
    text = "\n".join([drawn(answer, question, colour), "puzzle 1: solved, by the rules; 57.7%"])
    (given, other) = FIVE.parse_all(f"{text}\n{text}")
    np.testing.assert_array_equal(given.tokens, question)
    np.testing.assert_array_equal(other.tokens, question)
    assert given.note == "the path in the drawing is left out of the question"


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("###\n#S#\n#G#\n###", 1, "4 rows of 3 cells, and the model takes square mazes of 5x5"),
        ("#######\n#S   G#\n#######", 1, "3 rows of 7 cells"),
        ("\n".join(["S..#", "....", "...G", "....", "...."]), 1, "5 rows of 4 cells"),
        ("\n".join(["S   ", "    ", "   G", "   #", "   #"]), 1, "5 rows of 4 cells"),
        ("\n".join([*ROWS, "", *ROWS[:4]]), 7, "4 rows of 5 cells"),
        ("\n".join([*ROWS[:4], "", *ROWS]), 6, "no empty line separates this maze"),
        ("\n".join([*ROWS[:2], "  # ##", *ROWS[3:]]), 3, "the line has 6 cells"),
        (f"{QUESTION}\n{QUESTION}#", 2, "the line has 26 cells"),
        ("\n".join(ROWS).replace("G", "X"), 5, "'X' at place 5 of the line is not a cell"),
        ("\n".join(ROWS).replace("G", "9"), 5, "'9' at place 5"),
    ],
)
def test_the_line_and_the_reason_are_named(text, line, words):
    with pytest.raises(BadLineError, match=words) as error:
        FIVE.parse_all(text)
    assert error.value.line == line
    assert "\n" not in str(error.value)


def test_numbers_without_a_start_are_no_maze():
    question = FIVE.parse(QUESTION.translate(str.maketrans(" #SG", "0100")))
    assert "0 cells S" in FIVE.check_question(question)
    with pytest.raises(UserError, match="2 puzzles"):
        FIVE.parse(f"{QUESTION}\n{QUESTION}")
