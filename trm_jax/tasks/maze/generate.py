"""Generates mazes with a long shortest path, as a pure function of a seed.

Each attempt is a function of (seed, number of the attempt), and those that fit are kept in order.
Thus a shorter run is a prefix of a longer one, whatever the number of attempts per batch.
"""

import itertools
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from trm_jax.core.randomness import Words, random_words
from trm_jax.core.symmetries import dihedral_cells
from trm_jax.tasks.distinct import collect
from trm_jax.tasks.maze.carve import carve, words_needed
from trm_jax.tasks.maze.maze import Maze
from trm_jax.tasks.maze.paths import (
    FREE,
    GOAL,
    PATH,
    START,
    WALL,
    Bools,
    Cells,
    Reached,
    path_cells,
    search,
)
from trm_jax.tasks.maze.recipe import TIE_BREAK, WALL_SHARE, MazeRecipe

Grid = NDArray[np.uint8]

_BATCH = 1024
_FRUITLESS = {"random": 1_000_000, "perfect": 20_000}
"""Number of consecutive attempts that do not fit after which the search ends, by kind."""
_KNOWN = 2000
"""Number of consecutive fitting attempts without a new maze after which the search ends."""
_SHARE_STEPS = 2**16


def generate(
    maze: Maze,
    seed: int,
    count: int,
    kind: str = "random",
    wall_share: float = WALL_SHARE,
    shortest: int = 0,
    longest: int = 0,
    tie_break: str = TIE_BREAK,
    endpoints: str = "far",
) -> tuple[Grid, Grid]:
    """Generates different mazes, each with one of its shortest paths as the answer.

    No two are equal, nor images of each other under rotation and reflection.

    The answer is the path that a breadth-first search with a queue finds: from the start on, the
    first cell is taken from the queue, its neighbours are visited in the order of `tie_break`, and
    unseen ones are appended; the path is traced back from the goal along the cells that first saw
    each cell. Of all shortest paths, written as sequences of moves, it is the first one in
    lexicographic order with the alphabet `tie_break`.

    Args:
        maze: the maze's side.
        seed: any integer; the first k mazes of a longer run are those of a shorter run.
        count: number of mazes.
        kind: "random", where each cell is a wall independently, as in Maze-Hard, which usually has
            several shortest paths; or "perfect", where there is only one path (made by a
            randomised depth-first search on every other row and column).
        wall_share: for random mazes, probability that a cell is a wall, in steps of 1/65,536.
        shortest: min number of steps of the shortest path from start to goal. If this and
            `longest` are 0: for side 30 more than 110 (random) or 100 to 140 (perfect), as
            published; for other sides the side or more.
        longest: max number of steps; 0 for no limit. In perfect mazes all lengths from `shortest`
            to `longest` (without a limit: to the farthest cell) are equally likely.
        tie_break: the moves down, left, right and up, in any order.
        endpoints: for random mazes: "uniform" draws start and goal among all open cells and drops
            the maze if their distance does not fit, as published; "far" starts at the cell
            farthest from a random one and draws the goal among all cells at a fitting distance,
            so that many more mazes are kept.

    Returns:
        Questions and answers, uint8 [count, S] tokens each.

    Raises:
        UserError: there are not enough such mazes, or a parameter is invalid.
    """
    recipe = MazeRecipe(kind, wall_share, shortest, longest, tie_break, endpoints).settled(
        maze.side
    )
    what = (
        f"{kind} {maze.side}x{maze.side} mazes with shortest {recipe.shortest} and longest "
        f"{recipe.longest or 'unlimited'}"
    )
    pairs = _distinct(maze, seed, recipe)
    return collect(pairs, count, maze.cells, what, "change shortest, longest or wall_share")


def _distinct(maze: Maze, seed: int, recipe: MazeRecipe) -> Iterator[tuple[Grid, Grid]]:
    """Yields mazes that differ from all before, until new ones become rare."""
    images = dihedral_cells(maze.side)
    seen: set[bytes] = set()
    known, last, bound = 0, -1, _FRUITLESS[recipe.kind]
    for first in itertools.count(0, _BATCH):
        numbers, questions, answers = attempts(maze, seed, recipe, first, _BATCH)
        for number, question, answer in zip(numbers.tolist(), questions, answers, strict=True):
            key = min(image.tobytes() for image in question[images])
            known = known + 1 if key in seen else 0
            if known > _KNOWN or number - last > bound:
                return
            last = number
            if not known:
                seen.add(key)
                yield question, answer
        if first + _BATCH - last > bound:
            return


def attempts(
    maze: Maze, seed: int, recipe: MazeRecipe, first: int, count: int
) -> tuple[Cells, Grid, Grid]:
    """Makes attempts and keeps those that fit.

    Args:
        maze: the maze's side.
        seed: any integer.
        recipe: recipe with all defaults resolved, see `MazeRecipe.settled`.
        first: number of the first attempt.
        count: number of attempts.

    Returns:
        Numbers of the attempts that fit, int64 [m], with questions and answers uint8 [m, S].
    """
    numbers = first + np.arange(count)
    draw = _carved if recipe.kind == "perfect" else _scattered
    kept, open_cells, starts, goals, found = draw(maze.side, seed, recipe, numbers)
    rows = np.arange(len(kept))
    questions = np.where(open_cells, np.uint8(FREE), np.uint8(WALL))
    questions[rows, starts], questions[rows, goals] = START, GOAL
    path = path_cells(found, goals) & (questions == FREE)
    return numbers[kept], questions, np.where(path, np.uint8(PATH), questions)


_Drawn = tuple[Cells, Bools, Cells, Cells, Reached]
"""Attempts that fit [m], their open cells [m, S], starts [m], goals [m], and search results."""


def _scattered(side: int, seed: int, recipe: MazeRecipe, numbers: Cells) -> _Drawn:
    """Draws random mazes: each cell is a wall independently."""
    cells = side**2
    packed = -(-cells // 4)  # 16 random bits per cell, four cells per word
    words = random_words(seed, numbers, packed + 3)
    strewn = words[:, :packed].astype("<u8").view("<u2")[:, :cells]
    open_cells = strewn >= round(recipe.wall_share * _SHARE_STEPS)
    kept = np.flatnonzero(open_cells.any(1))
    starts = _pick(open_cells[kept], words[kept, packed])
    if recipe.endpoints == "far":
        distances = search(open_cells[kept], starts).distances
        farthest = distances.max(1)
        # All cells are within `farthest` of the first, so no two cells are twice as far apart.
        fits = 2 * farthest >= recipe.shortest
        ends = distances[fits] == farthest[fits, None]
        kept = kept[fits]
        starts = _pick(ends, words[kept, packed + 1])
    found = search(open_cells[kept], starts, recipe.order)
    goals = found.distances >= recipe.shortest
    if recipe.longest:
        goals &= found.distances <= recipe.longest
    if recipe.endpoints == "uniform":
        others = open_cells[kept]
        others[np.arange(len(kept)), starts] = False
        one = _pick(others, words[kept, packed + 2])
        goals &= np.arange(cells) == one[:, None]
    return _with_goals(kept, open_cells, starts, goals, found, words[kept, packed + 2])


def _carved(side: int, seed: int, recipe: MazeRecipe, numbers: Cells) -> _Drawn:
    """Draws perfect mazes."""
    needed = words_needed(side)
    words = random_words(seed, numbers, needed + 3)
    open_cells = carve(side, words[:, :needed])
    starts = _pick(open_cells, words[:, needed])
    found = search(open_cells, starts, recipe.order)
    farthest = found.distances.max(1)
    # Only mazes with goals at every length are kept: otherwise short paths would be more frequent.
    kept = np.flatnonzero(farthest >= (recipe.longest or recipe.shortest))
    most = recipe.longest or farthest[kept]
    choices = np.asarray(most - recipe.shortest + 1).astype(np.uint64)
    lengths = (words[kept, needed + 1] % choices).astype(np.int64) + recipe.shortest
    goals = found.distances[kept] == lengths[:, None]
    found = Reached(found.distances[kept], found.arrivals[kept])
    return _with_goals(kept, open_cells, starts[kept], goals, found, words[kept, needed + 2])


def _with_goals(
    kept: Cells, open_cells: Bools, starts: Cells, goals: Bools, found: Reached, words: Words
) -> _Drawn:
    """Draws a goal of each maze from the candidates [m, S]; drops mazes that have none."""
    some = np.flatnonzero(goals.any(1))
    found = Reached(found.distances[some], found.arrivals[some])
    chosen = _pick(goals[some], words[some])
    return kept[some], open_cells[kept[some]], starts[some], chosen, found


def _pick(options: Bools, words: Words) -> Cells:
    """Draws one of the marked cells [B, S] of each row uniformly, int64 [B]; 0 if none is."""
    nth = words % np.maximum(options.sum(1), 1).astype(np.uint64)
    return (options & (options.cumsum(1) == nth.astype(np.int64)[:, None] + 1)).argmax(1)
