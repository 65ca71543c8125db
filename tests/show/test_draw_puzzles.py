"""Pictures of puzzles: what is drawn where, and that nothing overlaps."""

import itertools

import numpy as np
import pytest

from trm_jax.show import boards as draw_puzzles
from trm_jax.show import figures as draw
from trm_jax.show import pictures as puzzle_page
from trm_jax.show.panels import Exhibit, Panel
from trm_jax.tasks.maze.maze import Maze
from trm_jax.tasks.sudoku.sudoku import Sudoku

MAZE, SUDOKU = Maze(5), Sudoku(2, 2)
GRID = np.asarray([[0, 1, 2], [3, 4, 5]], np.uint8)
ANSWER = SUDOKU.parse("1234 3412 2143 4321")
QUESTION = SUDOKU.parse("1... .... .... ....")


def an_axes():
    return draw.empty_figure((2, 2)).add_axes((0, 0, 1, 1))


def image(axes):
    """Colours of the cells as they are drawn."""
    return np.asarray(axes.images[-1].get_array())


def crosses(axes):
    """Cells that are crossed out, as (row, column)."""
    segments = [s for c in axes.collections for s in c.get_segments()]
    middles = [s.mean(axis=0) for s in segments if s[0, 0] != s[1, 0] and s[0, 1] != s[1, 1]]
    return {(int(y), int(x)) for x, y in middles}


def test_arc_cells_have_the_customary_colours():
    axes = an_axes()
    grid = np.arange(10, dtype=np.uint8).reshape(2, 5)
    draw_puzzles.arc_grid(axes, grid)
    drawn = "".join("#" + bytes(cell).hex().upper() for cell in image(axes).reshape(10, 3))
    assert drawn == "#000000#0074D9#FF4136#2ECC40#FFDC00#AAAAAA#F012BE#FF851B#7FDBFF#870C25"
    assert axes.get_xlim() == (0, 5) and axes.get_ylim() == (2, 0), "the first row is on top"
    assert not crosses(axes)


def test_arc_crosses_out_wrong_cells():
    axes, answer = an_axes(), GRID.copy()
    answer[0, 1], answer[1, 2] = 7, 9
    draw_puzzles.arc_grid(axes, GRID, answer)
    assert crosses(axes) == {(0, 1), (1, 2)}


def test_maze_labels_start_and_goal_and_crosses_out_wrong_cells():
    axes = an_axes()
    board, answer = MAZE.parse("S.o##" + "." * 19 + "G"), MAZE.parse("S.o##" + "." * 18 + "oG")
    draw_puzzles.maze_grid(axes, MAZE, board, answer)
    labels = {text.get_text(): text.get_position() for text in axes.texts}
    assert labels == {"S": (0.5, 0.5), "G": (4.5, 4.5)}
    assert crosses(axes) == {(4, 3)}
    drawn = image(axes)
    assert drawn[0, 3].mean() < 60 and drawn[1, 0].mean() > 230, "walls dark, free cells light"
    assert len({tuple(drawn[0, i]) for i in range(4)}) == 4


def test_sudoku_shades_wrong_cells():
    axes = an_axes()
    wrong = ANSWER.copy()
    wrong[0], wrong[5] = 1, 2  # a given that became blank, and a digit
    draw_puzzles.board(axes, SUDOKU, Panel("prediction", wrong, QUESTION, ANSWER, False))
    assert {tuple(cell) for cell in np.argwhere(image(axes)[..., 3])} == {(0, 0), (1, 1)}
    colours = [text.get_color() for text in axes.texts]
    assert colours[5] == draw.WRONG and colours[6] == draw.RIGHT


@pytest.mark.parametrize("board", [None, np.zeros((0, 0), np.uint8)])
def test_what_is_not_there_is_said(board):
    axes = an_axes()
    draw_puzzles.board(axes, None, Panel("answer", board))
    assert [text.get_text() for text in axes.texts] == ["?" if board is None else "–"]


def test_a_prediction_of_another_size_is_not_crossed_out():
    axes = an_axes()
    draw_puzzles.board(axes, None, Panel("prediction", GRID, None, GRID.T, False, "2x3, not 3x2"))
    assert not crosses(axes) and image(axes).shape == (2, 3, 3)


def arc_exhibit(demonstrations, tests, side=10, title="task"):
    draw = np.random.default_rng(demonstrations)

    def grid():
        return draw.integers(0, 10, draw.integers(1, side + 1, 2)).astype(np.uint8)

    groups = [[Panel(f"demo {i}", grid()), Panel("output", grid())] for i in range(demonstrations)]
    for i in range(tests):
        prediction = Panel("prediction", grid(), None, grid(), False, "30x30, not 29x28", 0.5)
        groups.append([Panel(f"test {i}", grid()), Panel("answer", None), prediction])
    return Exhibit(title, groups, demonstrations)


PAGES = {
    "small": (None, [arc_exhibit(3, 2)]),
    "tiny grids": (None, [arc_exhibit(10, 2, side=2), arc_exhibit(1, 1, side=1)]),
    "large": (None, [arc_exhibit(8, 3, side=30, title="a long title " * 8)]),
    "maze": (MAZE, [Exhibit("m", [[Panel("question", np.ones(25, np.uint8))] * 3])] * 2),
    "sudoku": (SUDOKU, [Exhibit("s", [[Panel("question", QUESTION), Panel("answer", ANSWER)]])]),
    "large sudoku": (
        Sudoku(5, 5),
        [Exhibit("s", [[Panel("question", np.ones(625, np.uint8))] * 3])],
    ),
}


@pytest.mark.parametrize("name", PAGES)
def test_nothing_overlaps_and_all_is_on_the_page(name):
    figure = puzzle_page.figure(*PAGES[name])
    renderer = figure.canvas.get_renderer()
    boxes = [axes.get_window_extent(renderer) for axes in figure.axes]
    texts = [axes.title for axes in figure.axes] + figure.texts
    boxes += [text.get_window_extent(renderer) for text in texts]
    page = figure.bbox
    for box in boxes:
        assert box.x0 >= page.x0 and box.x1 <= page.x1 and box.y0 >= page.y0 and box.y1 <= page.y1
    for one, other in itertools.combinations(boxes, 2):
        apart = one.x1 <= other.x0 or other.x1 <= one.x0 or one.y1 <= other.y0 or other.y1 <= one.y0
        assert apart, (one, other)


@pytest.mark.parametrize("name", PAGES)
def test_pages_hold_every_panel_and_are_no_wider_than_they_have_to(name):
    kind, exhibits = PAGES[name]
    figure = puzzle_page.figure(kind, exhibits)
    assert len(figure.axes) == sum(len(g) for e in exhibits for g in e.groups)
    assert [text.get_text() for text in figure.texts] == [e.title for e in exhibits]
    assert kind is not None or figure.get_figwidth() < puzzle_page.MOST_WIDTH + 1


def test_cells_are_square():
    figure = puzzle_page.figure(None, [arc_exhibit(2, 1)])
    figure.canvas.draw()
    for axes in figure.axes:
        box = axes.get_window_extent()
        columns, rows = abs(np.diff(axes.get_xlim())[0]), abs(np.diff(axes.get_ylim())[0])
        assert box.width / columns == pytest.approx(box.height / rows, rel=1e-3)


def test_verdicts_are_in_the_titles():
    right = Panel("prediction", GRID, None, None, True, "", 0.98)
    wrong = Panel("prediction", GRID, None, GRID[::-1], False, "6 cells wrong", 0.5)
    figure = puzzle_page.figure(None, [Exhibit("t", [[right], [wrong]])])
    titles = [axes.title.get_text() for axes in figure.axes]
    assert titles == ["prediction ✓\nsure: 98.0%", "prediction ✗\n6 cells wrong\nsure: 50.0%"]
    assert [axes.title.get_color() for axes in figure.axes] == [draw.RIGHT, draw.WRONG]
