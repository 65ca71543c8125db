"""Symmetries of grids: NumPy's own turns, movements that come back, renamings that spare blanks."""

import numpy as np
import pytest

from trm_jax.core.symmetries import (
    FLIPS_COLUMNS,
    FLIPS_ROWS,
    INVERSE_DIHEDRAL,
    TRANSPOSES,
    GridSymmetry,
    dihedral,
    dihedral_cells,
)

NUMPYS = [
    lambda g: g,
    lambda g: np.rot90(g, 1),
    lambda g: np.rot90(g, 2),
    lambda g: np.rot90(g, 3),
    np.fliplr,
    np.flipud,
    np.transpose,
    lambda g: np.fliplr(np.rot90(g, 1)),
]
"""What the published numbers of the eight symmetries stand for."""


@pytest.mark.parametrize("symmetry", range(8))
def test_symmetries_are_numpys_and_have_their_inverses(symmetry):
    draw = np.random.default_rng(symmetry)
    for shape in ((1, 1), (1, 6), (5, 2), (3, 4), (6, 6)):
        grid = draw.integers(0, 10, shape).astype(np.uint8)
        turned = dihedral(grid, symmetry)
        np.testing.assert_array_equal(turned, NUMPYS[symmetry](grid))
        np.testing.assert_array_equal(dihedral(turned, INVERSE_DIHEDRAL[symmetry]), grid)
    square = draw.integers(0, 10, (5, 5)).astype(np.uint8)
    moved = square.reshape(-1)[dihedral_cells(5)[symmetry]].reshape(5, 5)
    np.testing.assert_array_equal(moved, dihedral(square, symmetry))


@pytest.mark.parametrize("symmetry", range(8))
def test_the_flags_say_where_each_cell_comes_from(symmetry):
    rows, columns = 3, 4
    grid = np.arange(rows * columns).reshape(rows, columns)
    turned = dihedral(grid, symmetry)
    for place, cell in np.ndenumerate(turned):
        i, j = place[::-1] if TRANSPOSES[symmetry] else place
        i = rows - 1 - i if FLIPS_ROWS[symmetry] else i
        j = columns - 1 - j if FLIPS_COLUMNS[symmetry] else j
        assert cell == grid[i, j]


def test_cells_are_moved_and_then_renamed():
    digits, cells = np.asarray([[1, 2, 0], [0, 1, 2]]), np.asarray([[3, 0, 1, 2], [0, 1, 2, 3]])
    both = GridSymmetry(digits, cells)
    assert len(both) == 2
    tokens = np.asarray([[0, 1, 2, 4], [4, 3, 2, 1]], np.uint8)
    moved = both.apply(tokens)
    assert moved.dtype == np.uint8
    assert moved.tolist() == [[2, 0, 1, 3], [4, 3, 2, 1]]


def test_some_are_taken_by_number():
    draw = np.random.default_rng(0)
    digits = np.stack([draw.permutation(5) for _ in range(6)])
    cells = np.stack([draw.permutation(9) for _ in range(6)])
    taken = GridSymmetry(digits, cells).take(np.asarray([4, 0, 4]))
    np.testing.assert_array_equal(taken.digits, digits[[4, 0, 4]])
    np.testing.assert_array_equal(taken.cells, cells[[4, 0, 4]])


def test_inverse_undoes_from_both_sides_and_blanks_stay():
    draw = np.random.default_rng(1)
    digits = np.stack([draw.permutation(7) for _ in range(50)])
    cells = np.stack([draw.permutation(12) for _ in range(50)])
    symmetry = GridSymmetry(digits, cells)
    tokens = draw.integers(0, 9, (50, 12)).astype(np.uint8)
    moved = symmetry.apply(tokens)
    np.testing.assert_array_equal(symmetry.invert().apply(moved), tokens)
    np.testing.assert_array_equal(symmetry.apply(symmetry.invert().apply(tokens)), tokens)
    for token in (0, 1):
        np.testing.assert_array_equal((moved == token).sum(1), (tokens == token).sum(1))
