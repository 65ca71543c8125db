"""A maze's text, rules in words, looks and symmetries."""

import numpy as np
import pytest

from trm_jax.core.errors import UserError
from trm_jax.core.randomness import random_words
from trm_jax.core.symmetries import dihedral
from trm_jax.show import terminal
from trm_jax.show.panels import Panel
from trm_jax.tasks.maze.maze import Maze
from trm_jax.tasks.task import task_of

FIVE = Maze(5)
QUESTION = "S #  " + " # # " + "   # " + "## # " + "   #G"
OPEN = "S    " + "     " * 3 + "    G"
SHAPE = {"task": "maze", "side": 5}
TASK = task_of(SHAPE)


def marked(question, cells):
    tokens = FIVE.parse(question)
    tokens[list(cells)] = 5
    return tokens


def drawn(tokens, question=None, colour=False):
    """A maze as a terminal shows it, beside the question that it answers."""
    question = None if question is None else TASK.grid(SHAPE, question)
    panel = Panel("a maze", TASK.grid(SHAPE, tokens), question)
    return terminal.render(TASK.board(SHAPE), panel, colour)


@pytest.mark.parametrize("side", [4, 0, -1])
def test_small_sides_are_refused(side):
    with pytest.raises(UserError, match=f"side is {side};"):
        Maze(side)


def test_sizes():
    assert (Maze(30).cells, Maze(30).vocab) == (900, 6)
    assert Maze.from_manifest({"side": 8}) == Maze(8)
    for side in (None, 8.0, "8", [8], True):
        with pytest.raises(UserError, match="side"):
            Maze.from_manifest({"side": side})


def test_tokens_are_the_published_ones():
    tokens = FIVE.parse("# SGo" + " " * 20)
    assert tokens.dtype == np.uint8
    assert tokens.tolist() == [1, 2, 3, 4, 5] + [2] * 20


def test_text_round_trips():
    tokens = FIVE.parse(QUESTION)
    line = FIVE.format_line(tokens)
    rows = [line[i : i + 5] for i in range(0, 25, 5)]
    dotted = line.replace(" ", ".")
    for text in (line, dotted, line + "\n", "\n".join(rows), "\r\n".join(rows) + "\r\n"):
        np.testing.assert_array_equal(FIVE.parse(text), tokens)
    pads = tokens.copy()
    pads[1] = 0
    assert FIVE.format_line(pads) == line


def test_wrong_text_is_refused_with_the_place():
    rows = [QUESTION[i : i + 5] for i in range(0, 25, 5)]
    for text, message in (
        (QUESTION[:-6], "the line has 19 cells, .* has 5, the whole maze 25"),
        ("", "no puzzles"),
        ("\n".join(rows[:4]), "line 1: the maze has 4 rows of 5 cells"),
        ("\n".join([*rows[:2], "##", *rows[3:]]).replace(" ", "."), "line 3: .* has 2 cells"),
        (QUESTION.replace("G", "g").replace("S", "x"), "'x' at place 1 of the maze"),
        ("\n".join(rows).replace("G", "\u0413"), "line 5: .* place 5 of the line"),
        (QUESTION.replace("S", "\t"), "place 1 "),
    ):
        with pytest.raises(UserError, match=message) as error:
            FIVE.parse(text)
        assert "\n" not in str(error.value)


def test_a_drawn_maze_is_a_square_with_its_path_and_mistakes_coloured():
    question, answer = FIVE.parse(QUESTION), FIVE.parse(OPEN)
    answer[[1, 2]] = 5
    lines = drawn(question).split("\n")
    assert len(lines) == 7 and {len(line) for line in lines} == {12}
    assert lines[1] == "│S   ██    │"
    assert drawn(answer).split("\n")[1] == "│S ••••    │"
    coloured = drawn(answer, question, colour=True)
    assert coloured.count("\x1b[36m") == 1  # one cell of the path stands where a wall was
    assert coloured.count("\x1b[97;41m") == ((question == 1) & (answer != 1)).sum()
    assert terminal.plain(coloured) == drawn(answer, question)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (OPEN.replace("S", " "), "0 cells S"),
        (OPEN.replace("G", "S"), "2 cells S"),
        (OPEN.replace("G", " "), "0 cells G"),
        (OPEN.replace("S ", "So"), "row 1, column 2 is path"),
        ("S#   " + "##   " + "     " * 2 + "    G", "no way"),
    ],
)
def test_unsolvable_questions_are_told(text, message):
    assert message in FIVE.check_question(FIVE.parse(text))
    assert FIVE.check_question(FIVE.parse(OPEN)) is None
    padded = FIVE.parse(OPEN)
    padded[7] = 0
    assert FIVE.check_question(padded) == "row 2, column 3 is a pad"


EDGE = [1, 2, 3, 4, 9, 14, 19]  # along the top and down the right side


@pytest.mark.parametrize(
    ("question", "cells", "messages"),
    [
        (OPEN, EDGE, []),
        (OPEN, [5, 10, 15, 20, 21, 22, 23], []),
        (OPEN, [1, 2, 7, 12, 17, 18, 19], []),
        (OPEN, EDGE[:-1], ["the path from S ends at row 3, column 5"]),
        (OPEN, [], ["the path from S ends at row 1, column 1"]),
        (
            OPEN,
            [1, 3, 4, 9, 14, 19],
            [
                "the path from S ends at row 1, column 2",
                "path in row 1, column 4 is not connected to S",
            ],
        ),
        (OPEN, [*EDGE, 11], ["path in row 3, column 2 is not connected to S"]),
        (OPEN, [*EDGE, 7], ["the path has 1 cell too many: it branches or touches itself"]),
        (OPEN, [*EDGE, 8], ["the path has 1 cell too many: it branches or touches itself"]),
        (
            OPEN,
            [5, 10, 11, 12, 7, 2, 3, 4, 9, 14, 19],
            ["the path is 4 steps longer than the shortest"],
        ),
        (OPEN.replace("S    ", "S  # "), EDGE, ["row 1, column 4 became path, and was a wall"]),
    ],
)
def test_each_mistake_is_told(question, cells, messages):
    question = FIVE.parse(question)
    answer = question.copy()
    answer[cells] = 5
    assert FIVE.check_answer(question, answer) == messages


def test_changed_cells_are_told_by_kind():
    question = FIVE.parse("S    " + " # # " + " #   " + "     " + "    G")
    answer = question.copy()
    answer[EDGE] = 5
    answer[[6, 8, 11]] = 2
    answer[[24, 20]] = 0
    broken = FIVE.check_answer(question, answer)
    assert "row 2, column 2 and 2 more became free, and was a wall" in broken
    assert "row 5, column 1 became a pad, and was free" in broken
    assert "row 5, column 5 became a pad, and was the goal" in broken
    assert len(broken) == 3


def test_augmentation_is_one_of_eight_symmetries_and_uniform():
    question, answer = FIVE.parse(QUESTION), np.arange(25, dtype=np.uint8)
    augment, size = TASK.augmentation(SHAPE)
    words = random_words(3, np.arange(4000), size)
    inputs, labels = augment(np.tile(question, (4000, 1)), np.tile(answer, (4000, 1)), words)
    np.testing.assert_array_equal(inputs, question[labels])  # both move alike
    expected = {dihedral(answer.reshape(5, 5), k).tobytes() for k in range(8)}
    found, counts = np.unique(labels, axis=0, return_counts=True)
    assert {row.tobytes() for row in found} == expected
    assert counts.min() > 400


def test_augmentation_keeps_an_answer_right():
    question = FIVE.parse(OPEN)
    answer = marked(OPEN, EDGE)
    augment, _ = TASK.augmentation(SHAPE)
    for word in range(8):
        words = np.asarray([[word << 61]], np.uint64)
        inputs, labels = augment(question[None], answer[None], words)
        assert FIVE.check_answer(inputs[0], labels[0]) == []
