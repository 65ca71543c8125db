"""Symmetries of a Sudoku: digits, bands, stacks, lines within them, and transposition."""

import itertools

import numpy as np
from numpy.typing import NDArray

from trm_jax.core.randomness import Words, derive_seed, random_permutations, random_words
from trm_jax.core.symmetries import TRANSPOSES, GridSymmetry, dihedral_cells


def words_needed(box_rows: int, box_columns: int) -> int:
    """Number of random words that `draw` uses for one grid."""
    return 3 * box_rows * box_columns + box_rows + box_columns + 1


def draw(words: Words, box_rows: int, box_columns: int) -> GridSymmetry:
    """Draws uniformly from the symmetries of a Sudoku.

    They permute digits, bands, rows within bands, stacks and columns within stacks, and transpose
    the grid if boxes are square.

    Args:
        words: random words uint64 [B, words_needed(box_rows, box_columns)].
        box_rows: number of rows of a box.
        box_columns: number of columns of a box.
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
    return GridSymmetry(random_permutations(digits), cells.reshape(len(words), side * side))


def copies(box_rows: int, box_columns: int, which: str, count: int, seed: int) -> GridSymmetry:
    """Symmetries for the copies of a search; number 0 is the identity.

    Args:
        box_rows: number of rows of a box.
        box_columns: number of columns of a box.
        which: "digits" relabels cyclically (digit d becomes d + k; "Augmented HRM", arXiv
            2601.10679); "dihedral" rotates and reflects (if boxes are not square, only as far as
            it maps boxes to boxes); "all" draws from all symmetries.
        count: number of symmetries for "all"; the others return as many as there are.
        seed: seed for "all".
    """
    side = box_rows * box_columns
    numbers, cells = np.arange(side), np.arange(side * side)
    if which == "digits":
        digits = (numbers + numbers[:, None]) % side
        return GridSymmetry(digits, np.tile(cells, (side, 1)))
    if which == "dihedral":
        squares = box_rows == box_columns
        maps = dihedral_cells(side)[squares | ~TRANSPOSES]
        return GridSymmetry(np.tile(numbers, (len(maps), 1)), maps)
    size = words_needed(box_rows, box_columns)
    words = random_words(derive_seed(seed, "symmetric copies"), np.arange(count), size)
    drawn = draw(words, box_rows, box_columns)
    drawn.digits[0], drawn.cells[0] = numbers, cells
    return drawn


def cell_maps(box_rows: int, box_columns: int) -> NDArray[np.int64]:
    """Enumerates all permutations of cells that `draw` can draw, int64 [G, n * n].

    G is 128 for 2x2 boxes and 3,456 for 2x3; it is meant only for such small boxes.
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
    """Source line of each line, int64 [B, n]: permutes whole groups, then lines within a group."""
    group = random_permutations(groups)
    inside = random_permutations(lines.reshape(len(lines), groups.shape[1], -1))
    return (group[:, :, None] * inside.shape[2] + inside).reshape(lines.shape)


def _all_line_orders(groups: int, size: int) -> NDArray[np.int64]:
    """Enumerates all results of `_line_orders`, int64 [groups! * size!^groups, n]."""
    insides = list(itertools.permutations(range(size)))
    orders = [
        [group * size + line for group, inside in zip(order, inner, strict=True) for line in inside]
        for order in itertools.permutations(range(groups))
        for inner in itertools.product(insides, repeat=groups)
    ]
    return np.asarray(orders, np.int64)
