"""Whether an answer to a maze is a valid path, and whether it is a shortest one.

A maze may have several shortest paths, of which the label is one, so that an exact match is
stricter than the task. These scores do not use the label.
"""

import numpy as np
from numpy.typing import NDArray

from trm_jax.core.errors import UserError
from trm_jax.tasks.maze.paths import (
    FREE,
    GOAL,
    PATH,
    START,
    count_shortest_paths,
    find,
    passable,
    search,
)

Grids = NDArray[np.uint8]
Bools = NDArray[np.bool_]


def score(questions: Grids, answers: Grids, side: int) -> tuple[Bools, Bools]:
    """Scores answers by the rules.

    An answer is valid if it differs from its question only in free cells that became path, and if
    these cells with S and G are one simple path: each has two neighbours on it, S and G have one,
    and there is nothing else. It is shortest if it is valid and no path from S to G has fewer
    steps. An answer to a question without exactly one S and one G, or with path, is neither.

    Args:
        questions: uint8 [B, S] tokens.
        answers: uint8 [B, S] tokens.
        side: number of rows of the mazes.

    Returns:
        Whether each answer is valid and whether it is shortest, bool [B] each.

    Raises:
        UserError: the grids do not have this side.
    """
    _check(questions, side)
    _check(answers, side)
    starts, goals = find(questions, START), find(questions, GOAL)
    rows = np.arange(len(questions))
    ends = (questions == START) | (questions == GOAL)
    asked = ((questions == START).sum(1) == 1) & ((questions == GOAL).sum(1) == 1)
    asked &= ~(questions == PATH).any(1)
    path = answers == PATH
    kept = ((questions == answers) | (path & (questions == FREE))).all(1)
    # The shortest way from S to G over marked cells uses all of them exactly if they are one simple
    # path, without branch, loop, shortcut or separate cell.
    steps = search(path | ends, starts).distances[rows, goals]
    valid = asked & kept & (steps == (path | ends).sum(1) - 1)
    return valid, valid & (steps == distances(questions, side)[rows, goals])


def distances(questions: Grids, side: int) -> NDArray[np.int32]:
    """Steps from S to each cell, int32 [B, S]; -1 for walls, pads and unreachable cells.

    Args:
        questions: uint8 [B, S] tokens with one S each; path counts as free.
        side: number of rows of the mazes.

    Raises:
        UserError: the grids do not have this side.
    """
    _check(questions, side)
    return search(passable(questions), find(questions, START)).distances


def shortest_paths(questions: Grids, side: int) -> NDArray[np.int64]:
    """Number of shortest paths of each maze, int64 [B], at most a million; 0 if there is none.

    Args:
        questions: uint8 [B, S] tokens with one S and one G each; path counts as free.
        side: number of rows of the mazes.

    Raises:
        UserError: the grids do not have this side.
    """
    _check(questions, side)
    return count_shortest_paths(passable(questions), find(questions, START), find(questions, GOAL))


def _check(grids: Grids, side: int) -> None:
    if grids.ndim != 2 or grids.shape[1] != side**2:
        raise UserError(
            f"the mazes are an array of {list(grids.shape)} and side is {side}; "
            f"the array must be [mazes, {side**2}]."
        )
