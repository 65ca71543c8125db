"""Carves perfect mazes, in which any two cells are joined by exactly one path.

Rooms are on every other row and column, and a passage is the cell between two rooms. A randomised
depth-first search visits all rooms: it moves to a random unvisited neighbour, or else back.
"""

import numpy as np
from numpy.typing import NDArray

from trm_jax.core.randomness import Words

Cells = NDArray[np.int64]


def rooms(side: int) -> int:
    """Number of rooms in a row of a maze with `side` cells in a row."""
    return (side + 1) // 2


def words_needed(side: int) -> int:
    """Number of random words that `carve` uses for one maze."""
    return 2 * rooms(side) ** 2 - 1


def carve(side: int, words: Words) -> NDArray[np.bool_]:
    """Carves a maze from each row of random words.

    Args:
        side: number of cells in a row; if it is even, the last row and column stay walls.
        words: uint64 [B, words_needed(side)].

    Returns:
        Whether each cell is open, bool [B, side * side].
    """
    count, across = len(words), rooms(side)
    width = across + 2  # a rim of rooms that count as visited bounds the search
    visited = np.ones((count, width**2), bool)
    visited.reshape(count, width, width)[:, 1:-1, 1:-1] = False
    steps = np.asarray([width, -1, 1, -width])
    mazes = np.arange(count)
    row, column = np.divmod((words[:, 0] % np.uint64(across**2)).astype(np.int64), across)
    here = (row + 1) * width + column + 1
    parents = np.zeros((count, width**2), np.int64)
    visited[mazes, here] = True
    carved = _Carved(count, side, width)
    carved.open(mazes, here, here)
    # Each room but the first is entered once and left backwards once.
    for step in range(1, words_needed(side)):
        options = ~visited[mazes[:, None], here[:, None] + steps]
        many = options.sum(1)
        pick = (words[:, step] % np.maximum(many, 1).astype(np.uint64)).astype(np.int64)
        move = (options & (options.cumsum(1) == pick[:, None] + 1)).argmax(1)
        on = many > 0
        there = np.where(on, here + steps[move], parents[mazes, here])
        forward, to = mazes[on], there[on]
        visited[forward, to] = True
        parents[forward, to] = here[on]
        carved.open(forward, here[on], to)
        here = there
    return carved.cells.reshape(count, side * side)


class _Carved:
    """The open cells of the mazes; rooms are numbered within their rimmed grid."""

    def __init__(self, count: int, side: int, width: int) -> None:
        self.cells = np.zeros((count, side, side), bool)
        self._width = width

    def open(self, mazes: Cells, one: Cells, other: Cells) -> None:
        """Opens a room beside one that is open, and the passage between them."""
        rows, columns = np.divmod(other, self._width)
        row, column = np.divmod(one, self._width)
        self.cells[mazes, 2 * rows - 2, 2 * columns - 2] = True
        self.cells[mazes, row + rows - 2, column + columns - 2] = True
