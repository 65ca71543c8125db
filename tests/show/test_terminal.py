"""Boards side by side in a terminal."""

import io

import numpy as np
import pytest

from trm_jax.core.errors import UserError
from trm_jax.show import terminal
from trm_jax.show.panels import Exhibit, Panel
from trm_jax.show.terminal import beside, plain, render, render_arc, visible_width
from trm_jax.tasks.maze.maze import Maze
from trm_jax.tasks.sudoku.sudoku import Sudoku

MAZE, SUDOKU = Maze(5), Sudoku(2, 2)
RED = "\x1b[31mab\x1b[0m"
GRID = np.asarray([[0, 1, 2], [3, 4, 5]], np.uint8)
QUESTION = SUDOKU.parse("1...  .... .... ....")
ANSWER = SUDOKU.parse("1234 3412 2143 4321")


class Tty(io.StringIO):
    def isatty(self):
        return True


def changed(board, *places):
    other = board.copy()
    for place in places:
        other[place] = 2 if board[place] != 2 else 3
    return other


def test_colours_have_no_width():
    assert plain(RED) == "ab" and visible_width(RED) == 2
    assert visible_width(f"{RED}\nabc\n") == 3


def test_beside_joins_lines_under_their_titles():
    joined = beside(["aa\naa", "b"], ["one", "two\nlines"], 80)
    assert joined.split("\n") == ["one   two", "      lines", "aa    b", "aa"]


def test_beside_without_titles():
    assert beside(["a\nb", "c"], ["", ""], 80) == "a   c\nb"


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


def test_beside_takes_a_gap():
    assert beside(["a", "b"], ["", ""], 80, gap=1) == "a b"


def test_arc_in_digits():
    assert render_arc(GRID, False) == "0 1 2\n3 4 5"


def test_arc_in_colours_has_two_columns_a_cell_and_a_frame():
    text = render_arc(GRID, True)
    assert [len(line) for line in plain(text).split("\n")] == [8] * 4
    assert not set(plain(text)) & set("012345")
    cells = [line.split("\x1b[0m")[1:4] for line in text.split("\n")[1:3]]
    backgrounds = {cell.split("48;5;")[1] for row in cells for cell in row}
    assert len(backgrounds) == 6, "each colour its own"


def test_ten_colours_all_differ():
    assert len(set(terminal._ARC)) == 10


@pytest.mark.parametrize("colour", [False, True])
def test_arc_marks_wrong_cells(colour):
    answer = GRID.copy()
    answer[0, 1], answer[1, 2] = 7, 9
    text = plain(render_arc(GRID, colour, answer))
    assert text.count("><" if colour else "*") == 2
    if not colour:
        assert text == "0 1*2\n3 4 5*"


def test_arc_without_cells():
    assert "no grid" in render_arc(np.zeros((0, 0), np.uint8), True)


@pytest.mark.parametrize("kind", [None, MAZE, SUDOKU])
def test_an_unknown_board_is_a_question_mark(kind):
    assert render(kind, Panel("answer", None), True) == "?"


def test_predictions_of_another_size_are_drawn_without_marks():
    panel = Panel("prediction", GRID, None, GRID.T, False)
    assert render(None, panel, False) == render_arc(GRID, False)


def test_sudoku_marks_wrong_cells():
    board = changed(ANSWER, 1, 15)
    panel = Panel("prediction", board, QUESTION, ANSWER, False)
    text = render(SUDOKU, panel, False)
    assert text.count("*") == 2
    assert text.replace("*", " ") == SUDOKU.render(board)
    coloured = render(SUDOKU, panel, True)
    assert coloured.count("\x1b[97;41m") == 2
    assert plain(coloured) == SUDOKU.render(board)


def test_sudoku_marks_a_blank_that_stayed():
    panel = Panel("prediction", QUESTION, QUESTION, ANSWER, False)
    assert render(SUDOKU, panel, False).count(".*") == 15


def test_maze_in_characters_and_in_colours():
    line = "S.o##o......#.....#....#G"
    board = MAZE.parse(line)
    panel = Panel("question", board, board)
    text = render(MAZE, panel, False)
    assert "".join(row.strip("│") for row in text.split("\n")[1:-1]) == line.replace(".", " ")
    assert "\x1b" not in text and visible_width(text) == 7
    assert plain(render(MAZE, panel, True)) == MAZE.render(board)


def test_maze_marks_missing_and_wrong_path_in_colours():
    question, answer, board = map(
        MAZE.parse,
        (
            "S.......................G",
            "Soooo....o....o....o....G",
            "Sooo.....o....o.o..o....G",
        ),
    )
    text = render(MAZE, Panel("prediction", board, question, answer, False), True)
    assert text.count("\x1b[97;41m") == 4, "two cells of two characters"


def exhibit(right):
    verdict = {} if right is None else {"right": right, "sure": 0.875, "remark": "so so"}
    panels = [Panel("test 1", GRID), Panel("answer", GRID), Panel("prediction", GRID, **verdict)]
    return Exhibit("a task", [panels])


def test_show_has_titles_verdict_and_boards():
    lines = terminal.show(None, exhibit(False), 80, False).split("\n")
    assert lines[0] == "a task"
    assert lines[1].split() == ["test", "1", "answer", "prediction", "✗"]
    assert lines[2].strip() == "so so" and lines[3].strip() == "sure: 87.5%"
    assert lines[4].split() == ["0", "1", "2"] * 3
    assert "✓" in terminal.show(None, exhibit(True), 80, False)
    assert not {"✓", "✗"} & set(terminal.show(None, exhibit(None), 80, False))


@pytest.mark.parametrize("right", [True, False, None])
def test_colours_change_nothing_else(right):
    coloured = plain(terminal.show(None, exhibit(right), 80, True))
    assert coloured.split("\n")[0] == "a task"
    assert ("✓" in coloured, "✗" in coloured) == (right is True, right is False)


def test_show_keeps_groups_together():
    groups = [[Panel("in", GRID), Panel("out", GRID)]] * 3
    text = terminal.show(None, Exhibit("t", groups), 30, False)
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
