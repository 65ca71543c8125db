"""Generates Numberlink puzzles with one solution as a pure function of a seed.

A SAT solver only decides whether there is another solution, so the puzzles do not depend on its
heuristics or version.
"""

import itertools
from collections.abc import Iterator

import numpy as np

from trm_jax.core.randomness import random_permutations, random_words
from trm_jax.core.symmetries import FIRST_DIGIT, dihedral_cells
from trm_jax.tasks.distinct import collect
from trm_jax.tasks.numberlink.links import Links
from trm_jax.tasks.numberlink.numberlink import BLANK, Numberlink, Tokens

_FRUITLESS = 20_000
"""Number of attempts in a row without a new puzzle after which generation stops."""
MIN_LENGTH = 3
"""Min number of cells of a path, so that its two ends are not neighbours."""


def generate(puzzle: Numberlink, seed: int, count: int) -> tuple[Tokens, Tokens]:
    """Generates different puzzles with one solution each.

    Cells are joined into paths in a random order, as long as no path touches itself. The ends of
    the paths are a puzzle if there are at most `puzzle.letters` paths of at least MIN_LENGTH cells
    and no other solution. Letters are assigned in the order of their first cell. No two puzzles are
    equal after rotations, reflections and renaming of letters.

    Args:
      puzzle: the size of the puzzles, and their maximum number of letters.
      seed: any integer; fewer puzzles of the same seed are the beginning of more.
      count: number of puzzles.

    Returns:
      Questions and answers, tokens uint8 [count, S] each.

    Raises:
      UserError: there are fewer different puzzles, or the count is negative.
    """
    with Links(puzzle) as links:
        what = f"puzzles of side {puzzle.side} with up to {puzzle.letters} letters"
        remedy = "choose another side or more letters"
        return collect(_distinct(puzzle, links, seed), count, puzzle.cells, what, remedy)


def first_unsolvable(puzzle: Numberlink, questions: Tokens) -> int | None:
    """Index of the first of questions [m, S] without a solution, or None."""
    with Links(puzzle) as links:
        return next((i for i, each in enumerate(questions) if not links.solvable(each)), None)


def _distinct(puzzle: Numberlink, links: Links, seed: int) -> Iterator[tuple[Tokens, Tokens]]:
    """Yields puzzles that differ from all before, until _FRUITLESS attempts in a row fail."""
    images = dihedral_cells(puzzle.side)
    neighbours = puzzle.neighbours()
    edges = [(a, b) for a, beside in enumerate(neighbours) for b in beside if a < b]
    seen: set[bytes] = set()
    last = 0
    for attempt in itertools.count():
        if attempt - last > _FRUITLESS:
            return
        order = random_permutations(random_words(seed, [attempt], len(edges)))[0]
        paths = _paths([edges[number] for number in order.tolist()], neighbours)
        if len(paths) > puzzle.letters or min(map(len, paths)) < MIN_LENGTH:
            continue
        answer = np.zeros(puzzle.cells, np.uint8)
        for number, path in enumerate(paths):
            answer[path] = FIRST_DIGIT + number
        answer = _lettered(answer)
        ends = np.isin(np.arange(puzzle.cells), [path[i] for path in paths for i in (0, -1)])
        question = np.where(ends, answer, np.uint8(BLANK))
        name = min(_lettered(question[image]).tobytes() for image in images)
        if name not in seen and links.unique(question, answer):
            seen.add(name)
            last = attempt
            yield question, answer


def _paths(edges: list[tuple[int, int]], neighbours: list[list[int]]) -> list[list[int]]:
    """Joins cells into paths that do not touch themselves, along the edges in their order.

    Returns:
      The cells of each path, from end to end.
    """
    path_of = [[cell] for cell in range(len(neighbours))]
    for one, other in edges:
        first, second = path_of[one], path_of[other]
        if first is second or one not in (first[0], first[-1]):
            continue
        if other not in (second[0], second[-1]) or _touches(first, second, neighbours):
            continue
        head = first if first[-1] == one else first[::-1]
        joined = head + (second if second[0] == other else second[::-1])
        for cell in joined:
            path_of[cell] = joined
    return list({id(path): path for path in path_of}.values())


def _touches(first: list[int], second: list[int], neighbours: list[list[int]]) -> bool:
    """Whether two paths have more than one pair of neighbours."""
    cells = set(second)
    return sum(each in cells for cell in first for each in neighbours[cell]) > 1


def _lettered(tokens: Tokens) -> Tokens:
    """A grid [S] with its letters renamed in the order of their first cell."""
    table = np.arange(256, dtype=np.uint8)
    letters = [token for token in dict.fromkeys(tokens.tolist()) if token >= FIRST_DIGIT]
    table[letters] = np.arange(FIRST_DIGIT, FIRST_DIGIT + len(letters))
    return table[tokens]
