"""Pictures of puzzles: what is drawn where, and that nothing overlaps."""

import itertools

import numpy as np
import pytest

from tests.some_traces import ARC, FLEET, GRIDS, LATIN, MAZE, SUDOKU, board, grid, tokens
from trm_jax.show import figures as draw
from trm_jax.show import pictures
from trm_jax.show.boards import draw_board
from trm_jax.show.panels import Exhibit, Panel

ARC_BOARD, MAZE_BOARD, SUDOKU_BOARD = map(board, (ARC, MAZE, SUDOKU))
LARGE_SUDOKU = board({"task": "sudoku", "box": [5, 5]})
GRID = tokens([[2, 3, 4], [5, 6, 7]])
ANSWER = grid(SUDOKU, "1234 3412 2143 4321")
QUESTION = grid(SUDOKU, "1... .... .... ....")


def drawn(look, panel):
    axes = draw.empty_figure((2, 2)).add_axes((0, 0, 1, 1))
    draw_board(axes, look, panel)
    return axes


def image(axes):
    """Colours of the cells as they are drawn."""
    return np.asarray(axes.images[-1].get_array())


def crosses(axes):
    """Cells that are crossed out, as (row, column)."""
    segments = [s for c in axes.collections for s in c.get_segments()]
    middles = [s.mean(axis=0) for s in segments if s[0, 0] != s[1, 0] and s[0, 1] != s[1, 1]]
    return {(int(y), int(x)) for x, y in middles}


def shaded(axes):
    """Cells of paper that are marked as wrong."""
    wrong = (image(axes) != 255).any(axis=-1)
    return {tuple(cell) for cell in np.argwhere(wrong).tolist()}


def letters(axes):
    """Letters and their colours by (row, column)."""
    found = {}
    for text in axes.texts:
        x, y = text.get_position()
        found[int(y), int(x)] = text.get_text(), text.get_color()
    return found


def test_cells_have_the_colours_of_their_tokens():
    axes = drawn(ARC_BOARD, Panel("", np.arange(2, 12, dtype=np.uint8).reshape(2, 5)))
    colours = "".join("#" + bytes(cell).hex() for cell in image(axes).reshape(10, 3))
    assert colours == "".join(token.fill for token in ARC_BOARD.tokens[2:])
    assert axes.get_xlim() == (0, 5) and axes.get_ylim() == (2, 0), "the first row is on top"
    assert not crosses(axes)


def test_wrong_coloured_cells_are_crossed_out():
    answer = GRID.copy()
    answer[0, 1], answer[1, 2] = 9, 11
    assert crosses(drawn(ARC_BOARD, Panel("", GRID, None, answer))) == {(0, 1), (1, 2)}


def test_a_maze_has_its_letters_and_wrong_cells_crossed_out():
    question, path, answer = (
        grid(MAZE, text)
        for text in (
            "S..##" + "." * 19 + "G",
            "S.o##" + "." * 19 + "G",
            "S.o##" + "." * 18 + "oG",
        )
    )
    axes = drawn(MAZE_BOARD, Panel("", path, question, answer))
    assert {place: letter for place, (letter, _) in letters(axes).items()} == {
        (0, 0): "S",
        (4, 4): "G",
    }
    assert crosses(axes) == {(4, 3)}
    cells = image(axes)
    assert cells[0, 3].mean() < 60 and cells[1, 0].mean() > 230, "walls dark, free cells light"


def test_wrong_letters_are_red_and_shaded():
    wrong = ANSWER.copy()
    wrong[0, 0], wrong[1, 1] = 1, 2  # a given that became blank, and a digit
    axes = drawn(SUDOKU_BOARD, Panel("prediction", wrong, QUESTION, ANSWER, False))
    assert shaded(axes) == {(0, 0), (1, 1)} and not crosses(axes)
    found = letters(axes)
    assert (0, 0) not in found
    assert found[1, 1] == ("1", draw.WRONG) and found[1, 2] == ("1", draw.RIGHT)


def test_given_letters_stand_out():
    axes = drawn(SUDOKU_BOARD, Panel("answer", ANSWER, QUESTION))
    assert letters(axes)[0, 0] == ("1", draw.GIVEN) and letters(axes)[0, 1] == ("2", draw.RIGHT)
    question = drawn(SUDOKU_BOARD, Panel("question", QUESTION, QUESTION))
    assert letters(question) == {(0, 0): ("1", draw.GIVEN)}


def test_pads_of_an_answer_are_not_scored():
    answer = ANSWER.copy()
    answer[2] = 0
    assert not shaded(drawn(SUDOKU_BOARD, Panel("", ANSWER, QUESTION, answer)))


def test_a_board_of_somebody_else():
    cells = tokens([[1, 2], [3, 2], [2, 2], [43, 1]])
    answer = tokens([[2, 2], [2, 2], [2, 2], [43, 1]])
    axes = drawn(FLEET, Panel("", cells, None, answer, False))
    assert crosses(axes) == {(0, 0)}, "what is paper is shaded"
    found = letters(axes)
    assert found[0, 1] == ("H", draw.DARK_INK) and found[1, 0] == ("n", draw.WRONG)
    thick = [c for c in axes.collections if c.get_linewidth()[0] > 1 and len(c.get_paths()) == 3]
    assert len(thick) == 1, "a thick line between boxes, above and below them"


@pytest.mark.parametrize("fill", ["#000000", "#ffffff", "#7fdbff", "#2fa85a", "#e0524a", "#888888"])
def test_letters_can_be_read_on_every_colour(fill):
    def luminance(colour):
        linear = [
            s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4
            for s in np.asarray(draw.rgb(colour)) / 255
        ]
        return np.dot([0.2126, 0.7152, 0.0722], linear)

    dark, light = sorted([luminance(fill), luminance(draw.ink(fill))])
    assert (light + 0.05) / (dark + 0.05) > 3


@pytest.mark.parametrize("known", [None, np.zeros((0, 0), np.uint8)])
def test_what_is_not_there_is_said(known):
    axes = drawn(ARC_BOARD, Panel("answer", known))
    assert [text.get_text() for text in axes.texts] == ["?" if known is None else "–"]


def test_a_prediction_of_another_size_is_not_crossed_out():
    axes = drawn(ARC_BOARD, Panel("prediction", GRID, None, GRID.T, False, "2x3, not 3x2"))
    assert not crosses(axes) and image(axes).shape == (2, 3, 3)


def arc_exhibit(demonstrations, tests, side=10, title="task"):
    draw = np.random.default_rng(demonstrations)

    def grid():
        return draw.integers(2, 12, draw.integers(1, side + 1, 2)).astype(np.uint8)

    groups = [[Panel(f"demo {i}", grid()), Panel("output", grid())] for i in range(demonstrations)]
    for i in range(tests):
        prediction = Panel("prediction", grid(), None, grid(), False, "30x30, not 29x28", 0.5)
        groups.append([Panel(f"test {i}", grid()), Panel("answer", None), prediction])
    return Exhibit(title, groups, demonstrations)


def ones(rows, columns):
    return Panel("question", np.ones((rows, columns), np.uint8))


PAGES = {
    "small": (ARC_BOARD, [arc_exhibit(3, 2)]),
    "tiny grids": (ARC_BOARD, [arc_exhibit(10, 2, side=2), arc_exhibit(1, 1, side=1)]),
    "large": (ARC_BOARD, [arc_exhibit(8, 3, side=30, title="a long title " * 8)]),
    "maze": (MAZE_BOARD, [Exhibit("m", [[ones(5, 5)] * 3])] * 2),
    "sudoku": (
        SUDOKU_BOARD,
        [Exhibit("s", [[Panel("question", QUESTION), Panel("answer", ANSWER)]])],
    ),
    "large sudoku": (LARGE_SUDOKU, [Exhibit("s", [[ones(25, 25)] * 3])]),
    "letters": (LATIN, [Exhibit("l", [[ones(3, 4), Panel("answer", None)]])]),
    "cells": (FLEET, [Exhibit("f", [[ones(4, 2)] * 4])]),
}


@pytest.mark.parametrize("name", PAGES)
def test_nothing_overlaps_and_all_is_on_the_page(name):
    figure = pictures.figure(*PAGES[name])
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
    look, exhibits = PAGES[name]
    figure = pictures.figure(look, exhibits)
    assert len(figure.axes) == sum(len(g) for e in exhibits for g in e.groups)
    assert [text.get_text() for text in figure.texts] == [e.title for e in exhibits]
    assert not look.canvas or figure.get_figwidth() < pictures.MAX_WIDTH + 1


@pytest.mark.parametrize("name", ["small", "letters", "cells"])
def test_cells_are_square(name):
    figure = pictures.figure(*PAGES[name])
    figure.canvas.draw()
    for axes in figure.axes:
        box = axes.get_window_extent()
        columns, rows = abs(np.diff(axes.get_xlim())[0]), abs(np.diff(axes.get_ylim())[0])
        if rows * columns > 1:
            assert box.width / columns == pytest.approx(box.height / rows, rel=1e-3)


def test_verdicts_are_in_the_titles():
    right = Panel("prediction", GRID, None, None, True, "", 0.98)
    wrong = Panel("prediction", GRID, None, GRID[::-1], False, "6 cells wrong", 0.5)
    figure = pictures.figure(ARC_BOARD, [Exhibit("t", [[right], [wrong]])])
    titles = [axes.title.get_text() for axes in figure.axes]
    assert titles == [
        "prediction ✓\nconfidence: 98.0%",
        "prediction ✗\n6 cells wrong\nconfidence: 50.0%",
    ]
    assert [axes.title.get_color() for axes in figure.axes] == [draw.RIGHT, draw.WRONG]


@pytest.mark.parametrize("steps", [1, 4, 9])
def test_solving_shows_the_first_steps_and_the_last(steps):
    path = np.stack([grid(SUDOKU, GRIDS[0])] * steps)
    path[0, 0, 2] -= 1
    question = grid(SUDOKU, "12..34....43....")
    figure = pictures.solving(SUDOKU_BOARD, question, path, np.linspace(0.1, 0.9, steps))
    titles = [axes.get_title() for axes in figure.axes]
    assert titles[:2] == ["question", "step 1"] and titles[-1] == f"step {steps}"
    assert len(titles) == 1 + min(steps, 6)
    assert figure.axes[-1].get_xlabel() == f"confidence: {0.9 if steps > 1 else 0.1:.1%}"
    assert shaded(figure.axes[1]) == ({(0, 2)} if steps > 1 else set()), "it changes later"
