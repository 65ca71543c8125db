"""ARC tasks, checked grids, and the transforms of augmented copies."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from trm_jax.core.errors import UserError

MAX_SIDE = 30
COLOURS = 10
_SEPARATOR = "|||"

Grid = NDArray[np.uint8]
Transforms = NDArray[np.uint8]
"""uint8 [..., 10], the transform of an augmented copy: the number of a dihedral symmetry (see
`symmetries.TRANSPOSES`), then the replacements of colours 1 to 9. Black is never replaced. The
order of recolouring and symmetry does not matter, since they commute."""

IDENTITY = np.arange(COLOURS, dtype=np.uint8)
"""The transform of an original: symmetry 0, every colour unchanged."""


class Pair(NamedTuple):
    """A question and its answer, uint8 grids [rows, columns]; None for an unknown answer."""

    input: Grid
    output: Grid | None


class Puzzle(NamedTuple):
    """An ARC task: demonstrations, and tests to be solved by the same rule."""

    name: str
    demonstrations: list[Pair]
    tests: list[Pair]


def read_grid(value: Any, where: str) -> Grid:
    """Converts nested lists of colours to a grid.

    Args:
        value: nested lists, or an array.
        where: file, task and place, for error messages.

    Returns:
        uint8 [rows, columns].

    Raises:
        UserError: it is not 1 to 30 rows of equal length 1 to 30 with integers 0 to 9.
    """
    rows = value.tolist() if isinstance(value, np.ndarray) else value
    if not isinstance(rows, list) or not rows or not all(isinstance(row, list) for row in rows):
        raise UserError(f"{where}: the grid is not a list of rows; write it as [[0, 1], [2, 3]].")
    widths = sorted({len(row) for row in rows})
    if len(widths) > 1:
        raise UserError(
            f"{where}: the grid is ragged, with rows of {widths[0]} to {widths[-1]} cells; "
            "give all rows the same length."
        )
    if not 1 <= widths[0] <= MAX_SIDE or len(rows) > MAX_SIDE:
        raise UserError(
            f"{where}: the grid is {len(rows)}x{widths[0]}; "
            f"it must be 1x1 to {MAX_SIDE}x{MAX_SIDE} cells."
        )
    for row in rows:
        for cell in row:
            if type(cell) is not int or not 0 <= cell < COLOURS:
                raise UserError(f"{where}: {cell!r} is not a colour; colours are integers 0 to 9.")
    return np.asarray(rows, np.uint8)


def colour_map(transforms: Transforms) -> NDArray[np.uint8]:
    """Replacement of each colour under transforms [..., 10], uint8 of the same shape."""
    colours = np.array(transforms)
    colours[..., 0] = 0
    return colours


def row_name(task: str, transform: Transforms) -> str:
    """Name of a puzzle-table row, as published: the task's, with the transform for copies."""
    if (transform == IDENTITY).all():
        return task
    colours = "".join(map(str, transform[1:].tolist()))
    return f"{task}{_SEPARATOR}t{transform[0]}{_SEPARATOR}0{colours}"
