"""Symmetries of grids: rotations and reflections, permutations of cells and of symbols."""

import dataclasses
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T", bound=np.generic)
Tokens = NDArray[np.uint8]

FIRST_DIGIT = 2
"""Token of the first digit or colour; smaller tokens (0 pad, 1 blank) are never renamed."""

TRANSPOSES, FLIPS_ROWS, FLIPS_COLUMNS = (
    np.isin(np.arange(8), symmetries) for symmetries in ((1, 3, 6, 7), (2, 3, 5, 7), (1, 2, 4, 7))
)
"""Whether each symmetry of a rectangle transposes, flips rows and flips columns; bool [8] each.

Numbers as in the published code: 0 identity, 1 to 3 that many calls of `rot90`, 4 left-right,
5 up-down, 6 transpose, 7 anti-transpose. Cell (i, j) of the result is the original's cell found
by swapping i and j if it transposes, then counting the row from the bottom if it flips rows, and
the column from the right if it flips columns."""

INVERSE_DIHEDRAL = np.asarray([0, 3, 2, 1, 4, 5, 6, 7])
"""Number of each symmetry's inverse, int64 [8]."""


def dihedral(grid: NDArray[T], symmetry: int) -> NDArray[T]:
    """Applies symmetry number 0..7 to a rectangle [rows, columns]."""
    if FLIPS_COLUMNS[symmetry]:
        grid = grid[:, ::-1]
    if FLIPS_ROWS[symmetry]:
        grid = grid[::-1]
    return grid.T if TRANSPOSES[symmetry] else grid


def dihedral_cells(side: int) -> NDArray[np.int64]:
    """Cells of a square under each symmetry, int64 [8, side * side].

    Cell i of the result of symmetry k is cell [k, i] of the original.
    """
    cells = np.arange(side * side, dtype=np.int64).reshape(side, side)
    return np.stack([dihedral(cells, k).reshape(-1) for k in range(8)])


@dataclasses.dataclass(frozen=True)
class GridSymmetry:
    """One symmetry for each grid of a batch: permutes the cells, then the symbols.

    Attributes:
        digits: int64 [B, n]; symbol d (token d + FIRST_DIGIT) becomes digits[:, d].
        cells: int64 [B, S]; cell i of the result is cell cells[:, i] of the original.
    """

    digits: NDArray[np.int64]
    cells: NDArray[np.int64]

    def __len__(self) -> int:
        """Number of symmetries, B (one for each grid)."""
        return len(self.cells)

    def apply(self, tokens: Tokens) -> Tokens:
        """Applies the symmetries to tokens, uint8 [B, S]; pads and blanks are unchanged."""
        batch, symbols = self.digits.shape
        table = np.empty((batch, symbols + FIRST_DIGIT), np.uint8)
        table[:, :FIRST_DIGIT] = np.arange(FIRST_DIGIT)
        table[:, FIRST_DIGIT:] = self.digits + FIRST_DIGIT
        moved = np.take_along_axis(tokens, self.cells, axis=1)
        return np.take_along_axis(table, moved.astype(np.int64), axis=1)

    def take(self, numbers: NDArray[np.integer]) -> "GridSymmetry":
        """Selects the symmetries with the given indices [b]."""
        return GridSymmetry(self.digits[numbers], self.cells[numbers])

    def invert(self) -> "GridSymmetry":
        """Returns the inverse symmetries."""
        return GridSymmetry(_inverse(self.digits), _inverse(self.cells))


def _inverse(orders: NDArray[np.int64]) -> NDArray[np.int64]:
    inverse = np.empty_like(orders)
    np.put_along_axis(inverse, orders, np.arange(orders.shape[1])[None, :], axis=1)
    return inverse
