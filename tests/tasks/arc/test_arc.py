"""ARC grids: what is refused, how they lie on canvases, and the names of their copies."""

import numpy as np
import pytest

from tests.arc_tasks import plain_copy
from trm_jax.core.errors import UserError
from trm_jax.core.randomness import random_words
from trm_jax.tasks.arc import canvas as arc_canvas
from trm_jax.tasks.arc import records as arc
from trm_jax.tasks.arc.copies import draw_transforms

DRAW = np.random.default_rng(0)


def some_grids(count, side):
    sizes = DRAW.integers(1, side + 1, (count, 2))
    return [DRAW.integers(0, 10, size).astype(np.uint8) for size in sizes]


def plain_canvas(grid, side, row=0, column=0):
    canvas = np.zeros((side, side), np.uint8)
    rows, columns = grid.shape
    for i in range(rows + 1):
        for j in range(columns + 1):
            inside = row + i < side and column + j < side
            if inside and not (i == rows and j == columns):
                token = grid[i, j] + 2 if i < rows and j < columns else 1
                canvas[row + i, column + j] = token
    return canvas.reshape(-1)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ([[0, 1], [2]], "ragged, with rows of 1 to 2 cells"),
        ([[0, 10]], "10 is not a colour"),
        ([[0, -1]], "-1 is not a colour"),
        ([[0, 1.5]], "1.5 is not a colour"),
        ([[0, True]], "True is not a colour"),
        ([["0"]], "'0' is not a colour"),
        ([[0] * 31], "the grid is 1x31"),
        ([[0]] * 31, "the grid is 31x1"),
        ([], "not a list of rows"),
        ([[]], "the grid is 1x0"),
        ("grid", "not a list of rows"),
        (None, "not a list of rows"),
    ],
)
def test_broken_grids_are_refused_with_their_place(value, reason):
    with pytest.raises(UserError, match="file.json, task t") as error:
        arc.read_grid(value, "file.json, task t")
    assert reason in str(error.value) and str(error.value).count(". ") == 0


def test_good_grids_are_read():
    grid = arc.read_grid([[0, 9], [3, 4]], "here")
    assert grid.dtype == np.uint8
    np.testing.assert_array_equal(grid, [[0, 9], [3, 4]])
    assert arc.read_grid([[0] * 30] * 30, "here").shape == (30, 30)


@pytest.mark.parametrize("side", [4, 30])
def test_canvases_show_copies_wherever_they_are_moved(side):
    grids = some_grids(200, side)
    canvases = np.stack([arc_canvas.to_canvas(grid, side) for grid in grids])
    for grid, canvas in zip(grids, canvases, strict=True):
        np.testing.assert_array_equal(canvas, plain_canvas(grid, side))
    size = arc_canvas.sizes(canvases)
    np.testing.assert_array_equal(np.transpose(size), [grid.shape for grid in grids])
    transforms = draw_transforms(random_words(0, np.arange(200), 10))
    after = arc_canvas.turned(size, transforms[:, 0])
    rows, columns = (DRAW.integers(0, side + 1 - length) for length in after)
    shown = arc_canvas.copies(canvases, size, transforms, rows, columns)
    assert shown.dtype == np.uint8
    for i, grid in enumerate(grids):
        copy = plain_copy(grid, transforms[i])
        expected = plain_canvas(copy, side, rows[i], columns[i])
        np.testing.assert_array_equal(shown[i], expected)


def test_originals_undo_copies():
    grids = some_grids(100, 12)
    canvases = np.stack([arc_canvas.to_canvas(grid, 12) for grid in grids])
    transforms = draw_transforms(random_words(1, np.arange(100), 10))
    corner = np.zeros(100, np.int64)
    shown = arc_canvas.copies(canvases, arc_canvas.sizes(canvases), transforms, corner, corner)
    back, size = arc_canvas.originals(shown, transforms)
    for grid, canvas, rows, columns in zip(grids, back, *size, strict=True):
        np.testing.assert_array_equal(arc_canvas.crop(canvas, rows, columns), grid)
        assert (canvas > 0).sum() == grid.size


def largest_rectangle(canvas):
    """By trying all of them."""
    side = len(canvas)
    best = (0, 0)
    for rows in range(1, side + 1):
        for columns in range(1, side + 1):
            part = canvas[:rows, :columns]
            if ((part > 1) & (part < 12)).all() and rows * columns > best[0] * best[1]:
                best = (rows, columns)
    return best


def test_sizes_of_whatever_a_model_writes():
    canvases = DRAW.integers(0, 12, (300, 6, 6)).astype(np.uint8)
    canvases = np.where(DRAW.random((300, 1, 1)) < DRAW.random(canvases.shape), canvases, 5)
    canvases = canvases.astype(np.uint8)
    sizes = np.transpose(arc_canvas.sizes(canvases.reshape(300, 36)))
    expected = [largest_rectangle(canvas) for canvas in canvases]
    np.testing.assert_array_equal(sizes, expected)
    assert (0, 0) in expected and (6, 6) in expected


def test_an_unknown_answer_is_an_empty_canvas_in_every_copy():
    nothing = arc_canvas.to_canvas(np.zeros((0, 0), np.uint8), 5)
    assert not nothing.any()
    size = arc_canvas.sizes(nothing[None])
    transform = np.asarray([[1, *range(1, 10)]], np.uint8)
    moved = np.ones(1, np.int64)
    assert not arc_canvas.copies(nothing[None], size, transform, moved, moved).any()


def test_row_names_are_the_published_ones():
    transform = np.asarray([3, 1, 4, 9, 6, 3, 5, 7, 8, 2], np.uint8)
    assert arc.row_name("ca8de6ea", transform) == "ca8de6ea|||t3|||0149635782"
    assert arc.row_name("ca8de6ea", arc.IDENTITY) == "ca8de6ea"
