"""Grids of different sizes, each in the upper left corner of a canvas of fixed size."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Sizes(NamedTuple):
    """Rows and columns of the grid on each canvas, int64 [B] each."""

    rows: NDArray[np.int64]
    columns: NDArray[np.int64]


def corner_sizes(inside: NDArray[np.bool_]) -> Sizes:
    """Sizes of the largest all-True rectangle in the upper left corner.

    Args:
      inside: bool [B, rows, columns].

    Returns:
      The sizes; if several are largest, the one with the fewest rows; 0x0 if the first cell is
      False.
    """
    # number of leading True cells of each row, then the minimum over this row and those above
    runs = np.logical_and.accumulate(inside, axis=2).sum(axis=2)
    widths = np.minimum.accumulate(runs, axis=1)
    best = (widths * np.arange(1, inside.shape[1] + 1)).argmax(axis=1)
    columns = np.take_along_axis(widths, best[:, None], axis=1)[:, 0]
    return Sizes(np.where(columns > 0, best + 1, 0), columns)
