"""Sudoku's text, rules, looks and augmentation."""

import numpy as np
import pytest

from trm_jax.core.errors import UserError
from trm_jax.core.randomness import random_words
from trm_jax.show import terminal
from trm_jax.show.panels import Panel
from trm_jax.tasks.sudoku.sudoku import Sudoku
from trm_jax.tasks.task import task_of

QUESTION = "53..7....6..195....98....6.8...6...34..8.3..17...2...6.6....28....419..5....8..79"
ANSWER = "534678912672195348198342567859761423426853791713924856961537284287419635345286179"
NINE = Sudoku(3, 3)


def shape_of(sudoku):
    """As in a manifest."""
    return {"task": "sudoku", "box": list(sudoku.box)}


def drawn(sudoku, tokens, question=None, colour=False):
    """A grid as a terminal shows it, beside the question that it answers."""
    shape = shape_of(sudoku)
    task = task_of(shape)
    question = None if question is None else task.grid(shape, question)
    panel = Panel("a grid", task.grid(shape, tokens), question)
    return terminal.render(task.board(shape), panel, colour)


def pattern(sudoku):
    """The textbook full grid of any box shape, tokens [S]."""
    row, column = np.divmod(np.arange(sudoku.cells), sudoku.side)
    shift = row % sudoku.box_rows * sudoku.box_columns + row // sudoku.box_rows
    return ((column + shift) % sudoku.side + 2).astype(np.uint8)


@pytest.mark.parametrize("box", [(1, 4), (3, 0), (5, 6), (-2, -2)])
def test_impossible_boxes_are_refused(box):
    with pytest.raises(UserError, match="x"):
        Sudoku(*box)


def test_sizes():
    assert (NINE.side, NINE.cells, NINE.vocab) == (9, 81, 11)
    assert Sudoku.from_manifest({"box": [2, 3]}) == Sudoku(2, 3)
    for box in (None, [3], "33", [3.0, 3]):
        with pytest.raises(UserError, match="box"):
            Sudoku.from_manifest({"box": box})


def test_tokens_are_the_published_ones():
    tokens = NINE.parse(QUESTION)
    assert tokens.dtype == np.uint8
    assert tokens[:6].tolist() == [6, 4, 1, 1, 8, 1]


@pytest.mark.parametrize("blank", "._0")
def test_blanks_and_spacing(blank):
    lines = [QUESTION[i : i + 9].replace(".", blank) for i in range(0, 81, 9)]
    text = "\n------+---\n".join(" | ".join(line) for line in lines)
    np.testing.assert_array_equal(NINE.parse(text), NINE.parse(QUESTION))


@pytest.mark.parametrize("box", [(2, 2), (2, 3), (3, 3), (4, 4), (5, 5)])
def test_text_round_trips(box):
    sudoku = Sudoku(*box)
    tokens = pattern(sudoku)
    tokens[::3] = 1
    line = sudoku.format_line(tokens)
    assert len(line) == sudoku.cells
    for text in (line, line.lower(), drawn(sudoku, tokens)):
        np.testing.assert_array_equal(sudoku.parse(text), tokens)


def test_sixteen_uses_letters():
    line = Sudoku(4, 4).format_line(pattern(Sudoku(4, 4)))
    assert line[:16] == "123456789ABCDEFG"


def test_wrong_text_is_refused_with_the_place():
    with pytest.raises(UserError, match="80 cells.*81"):
        NINE.parse(QUESTION[:-1])
    with pytest.raises(UserError, match="'z' at place 4 "):
        NINE.parse(QUESTION[:3] + "z" + QUESTION[4:])
    with pytest.raises(UserError, match="'5'"):
        Sudoku(2, 2).parse("1234341221435...")
    with pytest.raises(UserError, match="place 1 "):
        NINE.parse("\u0665" + QUESTION[1:])  # an Arabic 5 is a digit to Python


def test_a_drawn_grid_has_boxes_and_colours_what_was_filled_in():
    question, answer = NINE.parse(QUESTION), NINE.parse(ANSWER)
    lines = drawn(NINE, answer).split("\n")
    assert len(lines) == 13 and len({len(line) for line in lines}) == 1
    assert lines[1] == "│ 5 3 4 │ 6 7 8 │ 9 1 2 │"
    assert len(drawn(Sudoku(2, 3), pattern(Sudoku(2, 3))).split("\n")) == 6 + 4
    coloured = drawn(NINE, answer, question, colour=True)
    assert coloured.count("\x1b[36m") == QUESTION.count(".")


def test_contradictory_questions():
    assert NINE.check_question(NINE.parse(QUESTION)) is None
    for cells, where in (((0, 8), "row 1"), ((0, 72), "column 1"), ((0, 10), "box 1")):
        question = np.ones(81, np.uint8)
        question[list(cells)] = 6
        assert NINE.check_question(question) == f"digit 5 appears twice in {where}"


def test_right_answer_breaks_no_rule():
    assert NINE.check_answer(NINE.parse(QUESTION), NINE.parse(ANSWER)) == []


def test_each_broken_rule_is_told():
    question, answer = NINE.parse(QUESTION), NINE.parse(ANSWER)
    answer[2] = 6  # a second 5 in row 1, column 3 and box 1
    broken = NINE.check_answer(question, answer)
    assert {"digit 5 appears twice in row 1", "digit 5 appears twice in box 1"} <= set(broken)
    answer = NINE.parse(ANSWER)
    answer[[0, 2]] = answer[[2, 0]]
    assert any(
        "given 5 in row 1, column 1 became 4" in line
        for line in NINE.check_answer(question, answer)
    )
    answer = NINE.parse(ANSWER)
    answer[2:4] = 1
    assert NINE.check_answer(question, answer) == ["2 cells are blank"]


@pytest.mark.parametrize("box", [(2, 2), (2, 3), (3, 3), (4, 4), (5, 5)])
def test_valid_answers_agrees_with_the_words(box):
    sudoku = Sudoku(*box)
    grids = np.tile(pattern(sudoku), (200, 1))
    rng = np.random.default_rng(0)
    for grid in grids[1:]:
        one, other = rng.integers(0, sudoku.cells, 2)
        grid[one] = rng.choice([grid[other], 0, 1, 2])
    blank = np.ones(sudoku.cells, np.uint8)
    expected = [not sudoku.check_answer(blank, grid) for grid in grids]
    assert expected[0] and not all(expected)
    assert sudoku.valid_answers(grids).tolist() == expected


@pytest.mark.parametrize("box", [(2, 2), (2, 3), (3, 3), (4, 4)])
def test_augmentation_keeps_puzzles_valid(box):
    sudoku = Sudoku(*box)
    labels = np.tile(pattern(sudoku), (300, 1))
    hidden = np.random.default_rng(0).random(labels.shape) < 0.6
    inputs = np.where(hidden, np.uint8(1), labels)
    augment, size = task_of(shape_of(sudoku)).augmentation(shape_of(sudoku))
    questions, answers = augment(inputs, labels, random_words(3, np.arange(300), size))
    assert sudoku.valid_answers(answers).all()
    given = questions > 1
    np.testing.assert_array_equal(questions[given], answers[given])
    np.testing.assert_array_equal(given.sum(1), (~hidden).sum(1))
    assert len(np.unique(answers, axis=0)) > 100
