"""Tokens of mazes, and breadth-first searches in many mazes at once.

All mazes of a batch are stored in one flat array, with a wall beside each row and a row of walls
above each maze. A move is then an addition, and one layer of all searches takes a few NumPy calls
on the cells that it reaches, so that each cell is visited once, whatever the path lengths.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

WALL, FREE, START, GOAL, PATH = range(1, 6)
"""Tokens of `# SGo`; 0 is a pad."""

MOVES = ("down", "left", "right", "up")
"""Names of the moves, by number."""

Bools = NDArray[np.bool_]
Cells = NDArray[np.int64]
Tokens = NDArray[np.uint8]

_ANY_ORDER = range(len(MOVES))


class Reached(NamedTuple):
    """Results of searches in B mazes of S cells.

    Attributes:
        distances: int32 [B, S], steps from the start; -1 for unreachable cells.
        arrivals: int8 [B, S], number of the move that reached the cell; -1 if there is none.
    """

    distances: NDArray[np.int32]
    arrivals: NDArray[np.int8]


def passable(questions: Tokens) -> Bools:
    """Whether each cell can be walked on (all but walls and pads), bool of the same shape."""
    return questions > WALL


def find(questions: Tokens, token: int) -> Cells:
    """The first cell with this token in each maze [B, S], int64 [B]; 0 if there is none."""
    return (questions == token).argmax(axis=1)


def search(open_cells: Bools, starts: Cells, order: Sequence[int] = _ANY_ORDER) -> Reached:
    """Searches each maze breadth-first from its start.

    The first cell is taken from a queue, its neighbours are visited in the given order, and unseen
    ones are appended to the queue. `arrivals` records the move by which each cell was first seen,
    so the order decides which of several shortest paths is found.

    Args:
        open_cells: bool [B, S], cells that can be walked on, row by row.
        starts: int64 [B], an open cell of each maze.
        order: numbers of the moves (see MOVES) in the order of visiting neighbours.
    """
    unseen, places, steps = _flat(open_cells, starts)
    distances = np.full(len(unseen), -1, np.int32)
    arrivals = np.full(len(unseen), -1, np.int8)
    layers = _layers(unseen, places, steps[list(order)], np.asarray(order, np.int8), arrivals)
    for distance, (cells, _, _) in enumerate(layers):
        distances[cells] = distance
    return Reached(_square(distances, open_cells), _square(arrivals, open_cells))


def path_cells(found: Reached, goals: Cells) -> Bools:
    """Cells of the path found to each goal, including both ends, bool [B, S].

    Args:
        found: result of `search`.
        goals: int64 [B], cells that were reached.
    """
    back = np.asarray([-step for step in _steps(_side(found.arrivals))])
    on_path = np.zeros(found.arrivals.shape, bool)
    mazes, cells = np.arange(len(goals)), goals
    while len(mazes):
        on_path[mazes, cells] = True
        moves = found.arrivals[mazes, cells]
        mazes, cells, moves = mazes[moves >= 0], cells[moves >= 0], moves[moves >= 0]
        cells = cells + back[moves]
    return on_path


def count_shortest_paths(
    open_cells: Bools, starts: Cells, goals: Cells, limit: int = 1_000_000
) -> Cells:
    """Number of shortest paths from start to goal, int64 [B], at most `limit`; 0 if none.

    Args:
        open_cells: see `search`.
        starts: see `search`.
        goals: int64 [B].
        limit: number at which counting stops.
    """
    unseen, places, steps = _flat(open_cells, starts)
    counts = np.zeros(len(unseen), np.int64)
    counts[places] = 1
    arrivals = np.full(len(unseen), -1, np.int8)
    moves = np.asarray(_ANY_ORDER, np.int8)
    for cells, nearby, sources in _layers(unseen, places, steps, moves, arrivals):
        counts[cells] = np.minimum(counts[cells], limit)
        np.add.at(counts, nearby, counts[sources])
    return _square(counts, open_cells)[np.arange(len(goals)), goals]


def _layers(
    unseen: Bools, cells: Cells, steps: Cells, moves: NDArray[np.int8], arrivals: NDArray[np.int8]
) -> Iterator[tuple[Cells, Cells, Cells]]:
    """Yields for each distance its cells in the order of the queue, and all further steps.

    The steps are given as the cells `nearby` that no layer has reached yet, with repetitions, and
    the cells that they are reached from. `unseen` and `arrivals` are updated in place.
    """
    while len(cells):
        unseen[cells] = False
        nearby = (cells[:, None] + steps).ravel()
        fresh = np.flatnonzero(unseen[nearby])
        nearby, by = nearby[fresh], moves[fresh % len(steps)]
        yield cells, nearby, cells[fresh // len(steps)]
        # The first cell to see a neighbour gets it: of repeated assignments NumPy keeps the last.
        arrivals[nearby[::-1]] = by[::-1]
        cells = nearby[arrivals[nearby] == by]


def _flat(open_cells: Bools, starts: Cells) -> tuple[Bools, Cells, Cells]:
    """Flat array of all mazes, positions of the starts in it, and the offset of each move."""
    mazes, side = len(open_cells), _side(open_cells)
    width = side + 1
    flat = np.zeros((mazes + 1) * width**2, bool)  # with one more maze of walls, below the last
    boards = flat.reshape(mazes + 1, width, width)
    boards[:mazes, 1:, 1:] = open_cells.reshape(mazes, side, side)
    rows, columns = np.divmod(starts, side)
    places = (np.arange(mazes) * width + rows + 1) * width + columns + 1
    return flat, places, np.asarray(_steps(width))


def _square(flat: NDArray[Any], like: Bools) -> NDArray[Any]:
    """Inverse of `_flat`: [B, S] from the flat array."""
    mazes, width = len(like), _side(like) + 1
    return flat.reshape(mazes + 1, width, width)[:mazes, 1:, 1:].reshape(like.shape)


def _steps(width: int) -> list[int]:
    """Offset of each of MOVES in an array with rows of this width."""
    return [width, -1, 1, -width]


def _side(batch: NDArray[Any]) -> int:
    return math.isqrt(batch.shape[1])
