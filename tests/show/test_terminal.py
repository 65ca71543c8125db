"""Boards side by side in a terminal."""

import io

import numpy as np
import pytest

from tests.some_traces import ARC, FLEET, LATIN, MAZE, SUDOKU, board, grid, tokens
from trm_jax.core.errors import UserError
from trm_jax.show import terminal
from trm_jax.show.panels import Exhibit, Panel
from trm_jax.show.terminal import beside, plain, render, visible_width

RED = "\x1b[31mab\x1b[0m"
MISTAKE = "\x1b[97;41m"
ARC_BOARD = board(ARC)
GRID = tokens([[2, 3, 4], [5, 6, 7]])
QUESTION = grid(SUDOKU, "1...  .... .... ....")
ANSWER = grid(SUDOKU, "1234 3412 2143 4321")


class Tty(io.StringIO):
    def isatty(self):
        return True


def changed(board, *places):
    other = board.copy()
    for place in places:
        other.reshape(-1)[place] = 2 if board.reshape(-1)[place] != 2 else 3
    return other


def test_colours_have_no_width():
    assert plain(RED) == "ab" and visible_width(RED) == 2
    assert visible_width(f"{RED}\nabc\n") == 3


def test_beside_joins_lines_under_their_titles():
    joined = beside(["aa\naa", "b"], ["one", "two\nlines"], 80)
    assert joined.split("\n") == ["one   two", "      lines", "aa    b", "aa"]


def test_beside_counts_what_is_seen():
    coloured = beside([RED, "c"], ["", ""], 6)
    assert plain(coloured) == "ab   c", "6 columns are enough, whatever the codes take"
    assert plain(beside([RED, "c"], ["", ""], 5)) == "ab\n\nc"


@pytest.mark.parametrize("width", [1, 20, 33, 80])
def test_beside_wraps_to_the_width(width):
    boards = ["x" * n + "\n" + "x" * n for n in (3, 10, 7, 20, 1)]
    joined = beside(boards, ["t"] * 5, width)
    assert visible_width(joined) <= max(width, 20)
    assert joined.replace(" ", "").replace("\n", "").count("x") == 2 * 41
    assert not any(line.endswith(" ") for line in joined.split("\n"))


def test_a_canvas_is_its_grid_in_digits():
    assert render(ARC_BOARD, Panel("", GRID), False) == "0 1 2\n3 4 5"


def test_a_canvas_in_colours_has_two_columns_a_cell_and_a_frame():
    text = render(ARC_BOARD, Panel("", GRID), True)
    assert [len(line) for line in plain(text).split("\n")] == [8] * 4
    assert not set(plain(text)) & set("012345")
    backgrounds = {part.split("m")[0] for part in text.split("48;5;")[1:]}
    assert len(backgrounds) == 6, "each colour its own"


@pytest.mark.parametrize("colour", [False, True])
def test_wrong_cells_of_a_canvas_are_marked(colour):
    answer = GRID.copy()
    answer[0, 1], answer[1, 2] = 9, 11
    text = plain(render(ARC_BOARD, Panel("", GRID, None, answer, False), colour))
    assert text.count("><" if colour else "*") == 2
    if not colour:
        assert text == "0 1*2\n3 4 5*"


def test_a_grid_without_cells_is_said():
    assert "no grid" in render(ARC_BOARD, Panel("", tokens(np.zeros((0, 0)))), True)


@pytest.mark.parametrize("look", [ARC_BOARD, board(MAZE), board(SUDOKU), LATIN, FLEET])
def test_an_unknown_board_is_a_question_mark(look):
    assert render(look, Panel("answer", None), True) == "?"


def test_predictions_of_another_size_are_drawn_without_marks():
    panel = Panel("prediction", GRID, None, GRID.T, False)
    assert render(ARC_BOARD, panel, False) == render(ARC_BOARD, Panel("", GRID), False)


def test_letters_stand_in_a_frame_with_boxes():
    assert render(board(SUDOKU), Panel("", QUESTION, QUESTION), False).split("\n") == [
        "┌─────┬─────┐",
        "│ 1 . │ . . │",
        "│ . . │ . . │",
        "├─────┼─────┤",
        "│ . . │ . . │",
        "│ . . │ . . │",
        "└─────┴─────┘",
    ]


def test_wrong_letters_are_marked():
    prediction = changed(ANSWER, 1, 15)
    panel, unmarked = (Panel("", prediction, QUESTION, a) for a in (ANSWER, None))
    text = render(board(SUDOKU), panel, False)
    assert text.count("*") == 2
    assert text.replace("*", " ") == render(board(SUDOKU), unmarked, False)
    coloured = render(board(SUDOKU), panel, True)
    assert coloured.count(MISTAKE) == 2
    assert plain(coloured) == render(board(SUDOKU), unmarked, False)
    assert coloured.count("\x1b[36m") == 13, "what the question left open is highlighted"


def test_a_blank_that_stayed_is_wrong():
    panel = Panel("prediction", QUESTION, QUESTION, ANSWER, False)
    assert render(board(SUDOKU), panel, False).count(".*") == 15


def test_a_given_that_changed_is_wrong_though_the_answer_is_not_known():
    panel = Panel("prediction", changed(ANSWER, 0, 1), QUESTION)
    assert render(board(SUDOKU), panel, False).count("*") == 1


def test_a_maze_is_two_characters_a_cell():
    text = render(board(MAZE), Panel("", grid(MAZE, "S.o##o......#.....#....#G")), False)
    assert text.split("\n")[1:3] == ["│S   ••████│", "│••        │"]
    assert "\x1b" not in text and {len(line) for line in text.split("\n")} == {12}
    panel = Panel("", grid(MAZE, "S.o##o......#.....#....#G"))
    assert plain(render(board(MAZE), panel, True)) == text


@pytest.mark.parametrize("colour", [False, True])
def test_a_maze_marks_missing_and_wrong_path(colour):
    question, answer, prediction = (
        grid(MAZE, text)
        for text in (
            "S.......................G",
            "Soooo....o....o....o....G",
            "Sooo.....o....o.o..o....G",
        )
    )
    text = render(board(MAZE), Panel("", prediction, question, answer, False), colour)
    assert text.count(MISTAKE if colour else "*") == 2


def test_a_board_of_somebody_else_with_letters():
    question = tokens([[1, 3, 1, 1], [2, 1, 1, 1], [1, 1, 1, 1]])
    text = render(LATIN, Panel("", question, question), False)
    assert text.split("\n")[1:4] == ["│ _ B _ _ │", "│ A _ _ _ │", "│ _ _ _ _ │"]


def test_a_board_of_somebody_else_with_coloured_cells():
    cells = tokens([[1, 2], [3, 2], [2, 2], [1, 1]])
    panel = Panel("", cells, None, changed(cells, 1), False)
    text = render(FLEET, panel, False).split("\n")
    assert text[1:3] == ["│~ H*│", "│n H │"] and text[3] == "├────┤"
    coloured = render(FLEET, panel, True)
    assert plain(coloured).split("\n")[1:3] == ["│  H<│", "│n H │"], "what has a letter shows it"
    assert coloured.count("48;5;") == 7, "colours are made of what the board says"


def exhibit(right):
    verdict = {} if right is None else {"right": right, "confidence": 0.875, "remark": "so so"}
    panels = [Panel("test 1", GRID), Panel("answer", GRID), Panel("prediction", GRID, **verdict)]
    return Exhibit("a task", [panels])


def test_show_has_titles_verdict_and_boards():
    lines = terminal.show(ARC_BOARD, exhibit(False), 80, False).split("\n")
    assert lines[0] == "a task"
    assert lines[1].split() == ["test", "1", "answer", "prediction", "✗"]
    assert lines[2].strip() == "so so" and lines[3].strip() == "confidence: 87.5%"
    assert lines[4].split() == ["0", "1", "2"] * 3


@pytest.mark.parametrize("colour", [False, True])
@pytest.mark.parametrize("right", [True, False, None])
def test_verdicts_are_ticks_and_crosses(right, colour):
    text = plain(terminal.show(ARC_BOARD, exhibit(right), 80, colour))
    assert text.split("\n")[0] == "a task"
    assert ("✓" in text, "✗" in text) == (right is True, right is False)


def test_show_keeps_groups_together():
    groups = [[Panel("in", GRID), Panel("out", GRID)]] * 3
    text = terminal.show(ARC_BOARD, Exhibit("t", groups), 30, False)
    titles = [line.split() for line in text.split("\n") if "in" in line]
    assert titles == [["in", "out"]] * 3


def test_use_colour(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert terminal.use_colour("always", io.StringIO())
    assert not terminal.use_colour("never", Tty())
    assert terminal.use_colour("auto", Tty())
    assert not terminal.use_colour("auto", io.StringIO())
    monkeypatch.setenv("NO_COLOR", "1")
    assert not terminal.use_colour("auto", Tty())
    assert terminal.use_colour("always", Tty())
    with pytest.raises(UserError, match="purple"):
        terminal.use_colour("purple", Tty())
