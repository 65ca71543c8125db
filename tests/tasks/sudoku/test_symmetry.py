"""The symmetries of a Sudoku: they keep its units, are all there are, and are drawn evenly."""

import numpy as np
import pytest

from trm_jax.core.randomness import random_words
from trm_jax.tasks.sudoku import symmetry

BOXES = [(2, 2), (2, 3), (3, 2), (3, 3), (4, 4)]


def draw(box, count, seed=0):
    words = random_words(seed, np.arange(count), symmetry.words_needed(*box))
    return symmetry.draw(words, *box)


@pytest.mark.parametrize("box", BOXES)
def test_inverse_undoes(box):
    side = box[0] * box[1]
    tokens = np.random.default_rng(0).integers(0, side + 2, (50, side**2)).astype(np.uint8)
    drawn = draw(box, 50)
    moved = drawn.apply(tokens)
    assert moved.dtype == np.uint8 and (moved != tokens).any()
    np.testing.assert_array_equal(drawn.invert().apply(moved), tokens)


@pytest.mark.parametrize("box", BOXES)
def test_pads_and_blanks_are_never_renamed(box):
    side = box[0] * box[1]
    tokens = np.random.default_rng(0).integers(0, side + 2, (50, side**2)).astype(np.uint8)
    moved = draw(box, 50).apply(tokens)
    for token in (0, 1):
        np.testing.assert_array_equal((moved == token).sum(1), (tokens == token).sum(1))


@pytest.mark.parametrize("box", BOXES)
def test_cells_that_share_a_unit_still_do(box):
    rows, columns = box
    side = rows * columns
    row, column = np.divmod(np.arange(side**2), side)
    boxes = row // rows * rows + column // columns
    cells = draw(box, 40).cells
    for unit in (boxes, row, column):
        moved = unit[cells]  # unit that each cell comes from
        same = moved[:, :, None] == moved[:, None, :]
        if unit is boxes:
            assert (same == (boxes[:, None] == boxes)).all()
        else:
            lines = np.stack([row[:, None] == row, column[:, None] == column])
            assert (same[:, None] == lines).all((2, 3)).any(1).all()


@pytest.mark.parametrize(("box", "count"), [((2, 2), 128), ((2, 3), 3456), ((3, 2), 3456)])
def test_every_geometric_symmetry_is_enumerated_once_and_drawn(box, count):
    maps = symmetry.cell_maps(*box)
    listed = {row.tobytes() for row in maps}
    assert len(maps) == len(listed) == count
    drawn = {row.tobytes() for row in draw(box, 20 * count if count < 1000 else 2000).cells}
    assert drawn <= listed
    assert len(drawn) == count if count < 1000 else len(drawn) > 1000


def test_transpositions_and_digits_are_evenly_drawn():
    drawn = draw((3, 3), 6000)
    # Cells of one row come from one row unless the grid was transposed.
    transposed = drawn.cells[:, 0] // 9 != drawn.cells[:, 1] // 9
    assert abs(transposed.mean() - 0.5) < 0.03
    for digit in range(9):
        counts = np.bincount(drawn.digits[:, digit], minlength=9)
        assert counts.min() > 540 and counts.max() < 800
    assert np.bincount(drawn.cells[:, 40], minlength=81).min() > 40
    oblong = draw((2, 3), 200).cells.reshape(200, 6, 6) // 6
    assert (oblong == oblong[:, :, :1]).all()
