"""ARC grids on square canvases of tokens; moving and recolouring them in batches.

Tokens: 0 pad; 1 edge (one row below the grid and one column to its right, if there is room); 2 on
the colours. The published canvas has 30x30 cells; S is its side squared.
"""

import numpy as np
from numpy.typing import NDArray

from trm_jax.core.symmetries import (
    FIRST_DIGIT,
    FLIPS_COLUMNS,
    FLIPS_ROWS,
    INVERSE_DIHEDRAL,
    TRANSPOSES,
)
from trm_jax.tasks.arc.records import COLOURS, Grid, Transforms, colour_map
from trm_jax.tasks.canvases import Sizes, corner_sizes

EDGE = 1
VOCAB = FIRST_DIGIT + COLOURS

Canvases = NDArray[np.uint8]
Numbers = NDArray[np.int64]


def to_canvas(grid: Grid, side: int) -> Canvases:
    """Puts a grid [rows, columns] in the top left of a canvas, uint8 [S]; 0x0 leaves it empty."""
    canvas = np.zeros((side, side), np.uint8)
    rows, columns = grid.shape
    if not grid.size:
        return canvas.reshape(-1)
    canvas[:rows, :columns] = grid + FIRST_DIGIT
    canvas[rows : rows + 1, :columns] = EDGE
    canvas[:rows, columns : columns + 1] = EDGE
    return canvas.reshape(-1)


def sizes(canvases: Canvases) -> Sizes:
    """Sizes of the grids on canvases [B, S].

    As published: the largest rectangle in the top left corner that holds only colours, and among
    equal ones that with the fewest rows. It is 0x0 if the first cell is not a colour.
    """
    side = _side(canvases)
    colours = (canvases >= FIRST_DIGIT) & (canvases < VOCAB)
    return corner_sizes(colours.reshape(-1, side, side))


def crop(canvas: Canvases, rows: int, columns: int) -> Grid:
    """The grid of this size in the top left corner of a canvas [S], with colours 0 to 9."""
    side = _side(canvas[None])
    return canvas.reshape(side, side)[:rows, :columns] - np.uint8(FIRST_DIGIT)


def turned(size: Sizes, symmetries: NDArray[np.integer]) -> Sizes:
    """Sizes of grids after one of the eight symmetries [B]."""
    swap = TRANSPOSES[symmetries]
    return Sizes(np.where(swap, *size[::-1]), np.where(swap, *size))


def copies(
    canvases: Canvases, size: Sizes, transforms: Transforms, rows: Numbers, columns: Numbers
) -> Canvases:
    """Applies transforms to grids and moves each result down and right.

    Args:
        canvases: uint8 [B, S], each grid in the top left corner.
        size: sizes of the grids; 0x0 gives an empty canvas.
        transforms: uint8 [B, 10].
        rows: int64 [B], number of rows to move down by.
        columns: int64 [B], number of columns to move right by; the result must fit.

    Returns:
        uint8 [B, S], with edges.
    """
    symmetry, after = transforms[:, 0], turned(size, transforms[:, 0])
    side = _side(canvases)
    i, j = np.arange(side)[None] - rows[:, None], np.arange(side)[None] - columns[:, None]
    tokens = _gather(canvases, size, symmetry, _palette(colour_map(transforms)), i, j)
    row_in, column_in = _between(i, after.rows), _between(j, after.columns)
    edge = row_in[:, :, None] & (j == after.columns[:, None])[:, None]
    edge |= (i == after.rows[:, None])[:, :, None] & column_in[:, None]
    tokens *= row_in[:, :, None] & column_in[:, None]
    tokens[edge & (after.rows > 0)[:, None, None]] = EDGE
    return tokens.reshape(canvases.shape)


def originals(canvases: Canvases, transforms: Transforms) -> tuple[Canvases, Sizes]:
    """Applies the inverse transforms to what canvases [B, S] of augmented copies show.

    Args:
        canvases: uint8 [B, S], predictions of a model.
        transforms: uint8 [B, 10], the transforms of the copies.

    Returns:
        uint8 [B, S], each grid in the top left corner and 0 elsewhere; and the grids' sizes.
    """
    size, symmetry = sizes(canvases), INVERSE_DIHEDRAL[transforms[:, 0]]
    back = np.argsort(colour_map(transforms), axis=1).astype(np.uint8)
    line = np.broadcast_to(np.arange(_side(canvases)), (len(canvases), _side(canvases)))
    tokens = _gather(canvases, size, symmetry, _palette(back), line, line)
    after = turned(size, symmetry)
    inside = _between(line, after.rows)[:, :, None] & _between(line, after.columns)[:, None]
    return (tokens * inside).reshape(canvases.shape), after


def _side(canvases: Canvases) -> int:
    return int(canvases.shape[1] ** 0.5)


def _palette(colours: NDArray[np.uint8]) -> Canvases:
    """Replacement of each token, uint8 [B, V], for replacements of colours [B, 10]."""
    tokens = np.empty((len(colours), VOCAB), np.uint8)
    tokens[:, :FIRST_DIGIT] = np.arange(FIRST_DIGIT)
    tokens[:, FIRST_DIGIT:] = colours + FIRST_DIGIT
    return tokens


def _between(line: Numbers, length: Numbers) -> NDArray[np.bool_]:
    return (line >= 0) & (line < length[:, None])


def _gather(
    canvases: Canvases,
    size: Sizes,
    symmetry: NDArray[np.integer],
    palette: Canvases,
    i: Numbers,
    j: Numbers,
) -> Canvases:
    """Gathers the tokens of each result's rows i and columns j [B, side].

    Positions outside the grid get arbitrary tokens, which the caller must blank. The index into the
    original is a sum of a part that depends on i and one that depends on j, since flips and
    transposition treat rows and columns separately (see `symmetries.TRANSPOSES`).
    """
    batch, side = len(canvases), _side(canvases)
    swap = TRANSPOSES[symmetry][:, None]
    row, column = np.where(swap, j, i), np.where(swap, i, j)
    row = np.where(FLIPS_ROWS[symmetry][:, None], size.rows[:, None] - 1 - row, row)
    column = np.where(FLIPS_COLUMNS[symmetry][:, None], size.columns[:, None] - 1 - column, column)
    row, column = (np.clip(line, 0, side - 1).astype(np.int32) for line in (row, column))
    row *= side
    row += np.arange(batch, dtype=np.int32)[:, None] * np.int32(side * side)
    of_i, of_j = np.where(swap, column, row), np.where(swap, row, column)
    tokens = np.take(canvases.reshape(-1), of_i[:, :, None] + of_j[:, None])
    colour = np.arange(batch, dtype=np.int32)[:, None, None] * np.int32(VOCAB) + tokens
    return np.take(palette.reshape(-1), colour)
