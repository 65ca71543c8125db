"""Tokens of mazes, and breadth-first searches through many mazes at once.

All mazes of a batch lie in one flat array, each row with a wall beside it and each maze with a row
of walls above it. A move is then an addition, and one layer of all searches a few NumPy calls on
the cells that it reaches: the work is that of visiting each cell once, whatever the path lengths.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

WALL, FREE, START, GOAL, PATH = range(1, 6)
"""Tokens of `# SGo`; 0 is a pad."""

MOVES = ("down", "left", "right", "up")
"""Moves by their number."""

Bools = NDArray[np.bool_]
Cells = NDArray[np.int64]
Tokens = NDArray[np.uint8]

_ANY_ORDER = range(len(MOVES))


class Reached(NamedTuple):
    """What searches found in B mazes of S cells.

    Attributes:
        distances: int32 [B, S], steps from the start; -1 where no way leads.
        arrivals: int8 [B, S], number of the move that reached the cell; -1 where there was none.
    """

    distances: NDArray[np.int32]
    arrivals: NDArray[np.int8]


def passable(questions: Tokens) -> Bools:
    """Which cells can be walked on, bool of the same shape: all but walls and pads."""
    return questions > WALL


def find(questions: Tokens, token: int) -> Cells:
    """The first cell with such a token in each maze [B, S], int64 [B]; 0 where there is none."""
    return (questions == token).argmax(axis=1)


def search(open_cells: Bools, starts: Cells, order: Sequence[int] = _ANY_ORDER) -> Reached:
    """Searches each maze breadth-first from its start.

    It is the search of a queue: the cell at its head is taken out, its neighbours are looked at in
    the given order, and those never seen before are put at the end. `arrivals` says from where
    each cell was first seen, so the order settles which of several shortest paths is found.

    Args:
        open_cells: bool [B, S], cells that can be walked on, row by row.
        starts: int64 [B], one open cell of each maze.
        order: numbers of the moves (see MOVES), as neighbours are looked at.
    """
    unseen, places, steps = _flat(open_cells, starts)
    distances = np.full(len(unseen), -1, np.int32)
    arrivals = np.full(len(unseen), -1, np.int8)
    layers = _layers(unseen, places, steps[list(order)], np.asarray(order, np.int8), arrivals)
    for distance, (cells, _, _) in enumerate(layers):
        distances[cells] = distance
    return Reached(_square(distances, open_cells), _square(arrivals, open_cells))


def path_cells(found: Reached, goals: Cells) -> Bools:
    """The cells of the path found to each goal, both of its ends included, bool [B, S].

    Args:
        found: of `search`.
        goals: int64 [B]; each has been reached.
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
    """How many shortest paths lead from start to goal, int64 [B]; 0 if none, `limit` if more.

    Args:
        open_cells: as in `search`.
        starts: as in `search`.
        goals: int64 [B].
        limit: where counting ends.
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
    """Yields for each distance the cells there in the order of the queue, and all steps on.

    Steps on are the cells `nearby` that no layer has reached yet, as often as they can be reached,
    with the cells that they are reached from. `unseen` and `arrivals` are brought up to date.
    """
    while len(cells):
        unseen[cells] = False
        nearby = (cells[:, None] + steps).ravel()
        fresh = np.flatnonzero(unseen[nearby])
        nearby, by = nearby[fresh], moves[fresh % len(steps)]
        yield cells, nearby, cells[fresh // len(steps)]
        # The first to look at a cell gets it: of repeated assignments NumPy keeps the last.
        arrivals[nearby[::-1]] = by[::-1]
        cells = nearby[arrivals[nearby] == by]


def _flat(open_cells: Bools, starts: Cells) -> tuple[Bools, Cells, Cells]:
    """The flat array of all mazes, where the starts are in it, and how far each move goes."""
    mazes, side = len(open_cells), _side(open_cells)
    width = side + 1
    flat = np.zeros((mazes + 1) * width**2, bool)  # one more maze of walls, below the last
    boards = flat.reshape(mazes + 1, width, width)
    boards[:mazes, 1:, 1:] = open_cells.reshape(mazes, side, side)
    rows, columns = np.divmod(starts, side)
    places = (np.arange(mazes) * width + rows + 1) * width + columns + 1
    return flat, places, np.asarray(_steps(width))


def _square(flat: NDArray[Any], like: Bools) -> NDArray[Any]:
    """Undoes `_flat`: [B, S] out of the flat array."""
    mazes, width = len(like), _side(like) + 1
    return flat.reshape(mazes + 1, width, width)[:mazes, 1:, 1:].reshape(like.shape)


def _steps(width: int) -> list[int]:
    """How far each of MOVES goes in an array with rows of such a width."""
    return [width, -1, 1, -width]


def _side(batch: NDArray[Any]) -> int:
    return math.isqrt(batch.shape[1])
