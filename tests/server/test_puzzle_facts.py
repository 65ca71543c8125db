"""What a page learns about puzzles: an empty board that is one, and all symbols of questions."""

import numpy as np
import pytest

from trm_jax.server.puzzle_facts import puzzle_facts
from trm_jax.serving.forms import as_questions
from trm_jax.tasks.futoshiki.task import FutoshikiSettings, FutoshikiTask
from trm_jax.tasks.grid.vocabulary import Form
from trm_jax.tasks.numberlink.task import NumberlinkSettings, NumberlinkTask
from trm_jax.tasks.task import task_of

SHAPES = {
    "sudoku": {"task": "sudoku", "box": [2, 2], "vocab": 6, "cells": 16},
    "futoshiki": {"task": "futoshiki"} | FutoshikiTask().shapes(FutoshikiSettings()),
    "numberlink": {"task": "numberlink"} | NumberlinkTask().shapes(NumberlinkSettings()),
    "words": {"task": "grid"} | Form(2, 3, ("1", "10"), blank="0").to_dict(),
    "canvas": {"task": "grid"} | Form(2, 3, ("a", "b"), canvas=True).to_dict(),
}


@pytest.mark.parametrize("name", SHAPES)
def test_what_is_asked_can_be_sent_as_cells(name):
    shape = SHAPES[name]
    facts = puzzle_facts(shape)
    text = {symbol["token"]: symbol["text"] for symbol in facts["symbols"]}
    asked = {symbol["token"] for symbol in facts["symbols"] if symbol["asked"]}
    questions = task_of(shape).random_questions(shape, 20)
    assert asked >= set(np.unique(questions).tolist())
    empty = [facts["empty"]] if name != "numberlink" else []  # which needs letters
    for question in [*questions, *empty]:
        cells = np.asarray([text[token] for token in list(question)])
        rows = cells.reshape(facts["rows"], facts["columns"]).tolist()
        np.testing.assert_array_equal(as_questions(shape, [rows])[0], question)


def test_keys_and_words_are_told_apart():
    words = puzzle_facts(SHAPES["words"])["symbols"]
    assert [symbol["reads"] for symbol in words] == [["0"], ["1"], ["10"]]
    futoshiki = puzzle_facts(SHAPES["futoshiki"])["symbols"]
    assert futoshiki[-1]["reads"] == [" ", "_"] and futoshiki[-1]["text"] == "_"


def test_no_question_of_a_maze_has_a_path():
    maze = puzzle_facts({"task": "maze", "side": 5})
    assert {symbol["text"]: symbol["asked"] for symbol in maze["symbols"]}["o"] is False
    assert set(maze["empty"]) == {2}
