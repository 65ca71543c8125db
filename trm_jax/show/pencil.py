"""Pencil marks in pictures: the remaining candidates of undecided cells, and guesses."""

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from trm_jax.core.symmetries import FIRST_DIGIT
from trm_jax.show import figures as draw
from trm_jax.show.panels import Cells
from trm_jax.tasks.board import Board, Grid

if TYPE_CHECKING:
    from matplotlib.axes import Axes

UNDECIDED = FIRST_DIGIT - 1
"""Token of a cell with several remaining candidates, or none: a blank."""

GUESS, EMPTY = "#7a3fd1", (0.776, 0.157, 0.157, 0.3)
FAINTEST = 0.35
"""Opacity of the least probable remaining candidate."""

_EDGE = 0.07  # margin around a cell's marks, as a share of the cell
_LETTER = 0.95  # height of a mark, as a share of its space


def draw_marks(
    axes: "Axes", board: Board, tokens: Grid, candidates: NDArray[np.floating], inches: float
) -> None:
    """Draws the candidates of undecided cells, more opaque the more probable they are.

    Cells without candidates are shaded.

    Args:
      axes: axes with the board, one unit per cell.
      board: the board's appearance.
      tokens: uint8 [rows, columns].
      candidates: float [rows, columns, C], probabilities; 0 for eliminated candidates.
      inches: width of a cell in inches.
    """
    columns, rows = places(candidates.shape[-1])
    room = 1 - 2 * _EDGE
    size = 72 * inches * room / max(rows, columns) * _LETTER
    alive = (candidates > 0) & (tokens == UNDECIDED)[:, :, None]
    for row, column, number in np.argwhere(alive).tolist():
        down, right = divmod(number, columns)
        axes.text(
            column + _EDGE + room * (right + 0.5) / columns,
            row + _EDGE + room * (down + 0.5) / rows,
            board.tokens[number + FIRST_DIGIT].letter,
            alpha=FAINTEST + (1 - FAINTEST) * min(1.0, float(candidates[row, column, number])),
            color=draw.GIVEN,
            fontsize=size,
            ha="center",
            va="center_baseline",
        )
    _shade(axes, (tokens == UNDECIDED) & ~alive.any(axis=-1))


def draw_guess(axes: "Axes", columns: int, cell: int) -> None:
    """Outlines a guessed cell, given by its index row * columns + column."""
    from matplotlib.patches import Rectangle

    row, column = divmod(cell, columns)
    place = column + 0.07, row + 0.07
    axes.add_patch(Rectangle(place, 0.86, 0.86, fill=False, ec=GUESS, lw=2.2, zorder=5))


def places(count: int) -> tuple[int, int]:
    """Columns and rows of the marks in a cell, for `count` candidates."""
    columns = math.isqrt(count - 1) + 1
    return columns, -(-count // columns)


def _shade(axes: "Axes", cells: Cells) -> None:
    """Shades cells without candidates, a conflict."""
    from matplotlib.patches import Rectangle

    for row, column in np.argwhere(cells).tolist():
        axes.add_patch(Rectangle((column, row), 1, 1, fc=EMPTY, ec="none", zorder=1))
