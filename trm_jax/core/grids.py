"""Symmetries of grids and the random numbers that choose them, in plain NumPy.

Everything is vectorised over a batch and is a pure function of its arguments: there is no
generator with a hidden state, so a batch can be recomputed at any position, on any machine.
"""

import dataclasses
import hashlib
import itertools
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T", bound=np.generic)
Words = NDArray[np.uint64]
Tokens = NDArray[np.uint8]

FIRST_DIGIT = 2
"""Token of the first digit or colour; the tokens below it (0 pad, 1 blank) are never renamed."""

_GOLDEN = 0x9E3779B97F4A7C15
_MASK = 2**64 - 1


def mix(words: Words) -> Words:
    """Scrambles 64-bit words with SplitMix64's finaliser, a bijection (any shape, uint64)."""
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))


def random_words(seed: int, counters: NDArray[np.integer] | list[int], count: int) -> Words:
    """Draws random 64-bit words by position.

    Each counter starts its own SplitMix64 sequence (Steele, Lea and Flood: "Fast splittable
    pseudorandom number generators", OOPSLA 2014), read by random access: word j of a sequence
    that starts at s is `mix(s + (j + 1) * golden)`.

    Args:
        seed: any integer; taken modulo 2^64.
        counters: integers [B], not negative.
        count: how many words each row has.

    Returns:
        uint64 [B, count]; row i depends on (seed, counters[i]) alone.
    """
    steps = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(_GOLDEN)
    # The seed is scrambled before the counters are added: else (seed, counter + 1) and
    # (seed + golden, counter) would share a sequence.
    base = mix(np.asarray([seed & _MASK], np.uint64) + np.uint64(_GOLDEN))
    starts = mix(base + np.asarray(counters).astype(np.uint64) * np.uint64(_GOLDEN))
    return mix(starts[:, None] + steps)


def random_permutations(words: Words) -> NDArray[np.int64]:
    """Turns random words [..., n] into uniform permutations of 0..n-1, int64 [..., n]."""
    return np.argsort(words, axis=-1, kind="stable")


def derive_seed(seed: int, purpose: str) -> int:
    """Gives each purpose, by its name, an independent seed out of one that users choose."""
    counter = int.from_bytes(hashlib.sha256(purpose.encode()).digest()[:8], "little")
    return int(random_words(seed, np.asarray([counter], np.uint64), 1)[0, 0])


TRANSPOSES, FLIPS_ROWS, FLIPS_COLUMNS = (
    np.isin(np.arange(8), symmetries) for symmetries in ((1, 3, 6, 7), (2, 3, 5, 7), (1, 2, 4, 7))
)
"""What each of the eight symmetries of a rectangle does, bool [8]: 0 nothing, 1 to 3 rot90 so many
times, 4 left-right, 5 up-down, 6 transpose, 7 the other diagonal (the published numbers). Cell
(i, j) of the result is found in the original so: swap i and j if it transposes, then count the row
from the bottom, then the column from the right."""

INVERSE_DIHEDRAL = np.asarray([0, 3, 2, 1, 4, 5, 6, 7])
"""Number of the symmetry that undoes each one, int64 [8]."""


def dihedral(grid: NDArray[T], symmetry: int) -> NDArray[T]:
    """Turns and flips a rectangle [rows, columns] by the symmetry of a number in 0..7."""
    if FLIPS_COLUMNS[symmetry]:
        grid = grid[:, ::-1]
    if FLIPS_ROWS[symmetry]:
        grid = grid[::-1]
    return grid.T if TRANSPOSES[symmetry] else grid


def dihedral_cells(side: int) -> NDArray[np.int64]:
    """For squares: cell i of the result is cell [k, i] of the original, int64 [8, side * side]."""
    cells = np.arange(side * side, dtype=np.int64).reshape(side, side)
    return np.stack([dihedral(cells, k).reshape(-1) for k in range(8)])


@dataclasses.dataclass(frozen=True)
class SudokuSymmetry:
    """One symmetry for each grid of a batch: it moves cells, then renames digits.

    Attributes:
        digits: int64 [B, n]; digit d (counted from 0) becomes digits[:, d].
        cells: int64 [B, n * n]; cell i of the result is cell cells[:, i] of the original.
    """

    digits: NDArray[np.int64]
    cells: NDArray[np.int64]

    @staticmethod
    def words(box_rows: int, box_columns: int) -> int:
        """Says how many random words `draw` uses for one grid."""
        return 3 * box_rows * box_columns + box_rows + box_columns + 1

    @classmethod
    def draw(cls, words: Words, box_rows: int, box_columns: int) -> "SudokuSymmetry":
        """Draws uniformly from the symmetries of a Sudoku with such boxes.

        They permute digits, bands, rows within bands, stacks and columns within stacks, and
        transpose the grid where boxes are square.

        Args:
            words: uint64 [B, SudokuSymmetry.words(box_rows, box_columns)].
            box_rows: rows of a box.
            box_columns: columns of a box.
        """
        side = box_rows * box_columns
        cuts = np.cumsum([side, box_columns, side, box_rows, side])
        digits, bands, rows, stacks, columns, flip = np.split(words, cuts, axis=1)
        row = _line_orders(bands, rows)
        column = _line_orders(stacks, columns)
        cells = row[:, :, None] * side + column[:, None, :]
        if box_rows == box_columns:
            flipped = (flip[:, 0] >> np.uint64(63)).astype(bool)
            cells[flipped] = cells[flipped].swapaxes(1, 2)
        return cls(random_permutations(digits), cells.reshape(len(words), side * side))

    def apply(self, tokens: Tokens) -> Tokens:
        """Applies the symmetries to tokens, uint8 [B, n * n]; pads and blanks stay the same."""
        batch, side = self.digits.shape
        table = np.empty((batch, side + FIRST_DIGIT), np.uint8)
        table[:, :FIRST_DIGIT] = np.arange(FIRST_DIGIT)
        table[:, FIRST_DIGIT:] = self.digits + FIRST_DIGIT
        moved = np.take_along_axis(tokens, self.cells, axis=1)
        return np.take_along_axis(table, moved.astype(np.int64), axis=1)

    def take(self, numbers: NDArray[np.integer]) -> "SudokuSymmetry":
        """Gives those of these symmetries that have the numbers [b]."""
        return SudokuSymmetry(self.digits[numbers], self.cells[numbers])

    def invert(self) -> "SudokuSymmetry":
        """Gives the symmetry that undoes this one."""
        return SudokuSymmetry(_inverse(self.digits), _inverse(self.cells))


def sudoku_cell_maps(box_rows: int, box_columns: int) -> NDArray[np.int64]:
    """Enumerates every movement of cells that `SudokuSymmetry` can draw, int64 [G, n * n].

    G is 128 for 2x2 boxes and 3,456 for 2x3; it is meant for such small boxes only.
    """
    side = box_rows * box_columns
    rows = _all_line_orders(box_columns, box_rows)
    columns = _all_line_orders(box_rows, box_columns)
    maps = rows[:, None, :, None] * side + columns[None, :, None, :]
    maps = maps.reshape(-1, side, side)
    if box_rows == box_columns:
        maps = np.concatenate([maps, maps.swapaxes(1, 2)])
    return maps.reshape(-1, side * side)


def _line_orders(groups: Words, lines: Words) -> NDArray[np.int64]:
    """Source line of each line, int64 [B, n]: whole groups change places, then lines in a group."""
    group = random_permutations(groups)
    inside = random_permutations(lines.reshape(len(lines), groups.shape[1], -1))
    return (group[:, :, None] * inside.shape[2] + inside).reshape(lines.shape)


def _all_line_orders(groups: int, size: int) -> NDArray[np.int64]:
    """Enumerates what `_line_orders` can give, int64 [groups! * size!^groups, n]."""
    insides = list(itertools.permutations(range(size)))
    orders = [
        [group * size + line for group, inside in zip(order, inner, strict=True) for line in inside]
        for order in itertools.permutations(range(groups))
        for inner in itertools.product(insides, repeat=groups)
    ]
    return np.asarray(orders, np.int64)


def _inverse(orders: NDArray[np.int64]) -> NDArray[np.int64]:
    inverse = np.empty_like(orders)
    np.put_along_axis(inverse, orders, np.arange(orders.shape[1])[None, :], axis=1)
    return inverse
