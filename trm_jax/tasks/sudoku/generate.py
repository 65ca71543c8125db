"""Generates Sudokus with one solution, for any box shape, as a pure function of a seed.

The SAT solver (python-sat's CaDiCaL) is only asked whether a grid can be completed, never for a
solution, so that the puzzles do not depend on the solver's heuristics, version or machine.
"""

import functools
import itertools
import threading
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from pysat.solvers import Solver

from trm_jax.core.errors import UserError
from trm_jax.core.randomness import random_permutations, random_words
from trm_jax.core.symmetries import FIRST_DIGIT
from trm_jax.tasks.distinct import Pair, collect, first_of_each
from trm_jax.tasks.sudoku.alphabet import BLANK
from trm_jax.tasks.sudoku.sudoku import Grid, Sudoku
from trm_jax.tasks.sudoku.symmetry import cell_maps

_FRUITLESS = 500
"""Number of consecutive attempts without a new puzzle after which the search ends."""
_ENUMERABLE_CELLS = 36
_SOLVER = "cadical153"
_CHECKING = threading.Lock()
"""Lock of the solvers that `first_unsolvable` keeps."""


def generate(sudoku: Sudoku, seed: int, count: int, extra_givens: int = 0) -> tuple[Grid, Grid]:
    """Generates different puzzles with one solution each.

    Each starts as a minimal puzzle (without any one of its givens it has a second solution), and
    then 0 to `extra_givens` (uniform) of the other cells are put back. No two are equal. With 2x2
    and 2x3 boxes no two are equivalent under the symmetries of Sudoku either, so that a held-out
    puzzle is never an augmented copy of a training puzzle. Larger boxes have too many symmetries
    to enumerate, and so many puzzles (3x3: over 10^20 classes) that equivalent ones do not occur.

    Args:
        sudoku: the box shape.
        seed: any integer; the first k puzzles of a longer run are those of a shorter run.
        count: number of puzzles.
        extra_givens: max number of givens to put back.

    Returns:
        Questions and answers, uint8 [count, S] tokens each.

    Raises:
        UserError: there are not enough different puzzles, or a number is negative.
    """
    if extra_givens < 0:
        raise UserError(f"extra_givens is {extra_givens}; give 0 or more.")
    with Solver(name=_SOLVER, bootstrap_with=_rules(sudoku)) as solver:
        maker = _Maker(sudoku, solver)
        pairs = first_of_each(_named(maker, seed, extra_givens), _FRUITLESS)
        what = f"{sudoku.side}x{sudoku.side} puzzles with extra_givens={extra_givens}"
        return collect(pairs, count, sudoku.cells, what, "raise extra_givens")


def first_unsolvable(sudoku: Sudoku, questions: Grid) -> int | None:
    """Index of the first question [S] of [m, S] without a solution; None if all have one."""
    with _CHECKING:
        solver = _checker(sudoku)
        for index, question in enumerate(questions):
            cells = np.flatnonzero(question >= FIRST_DIGIT)
            digits = question[cells].astype(int) - FIRST_DIGIT
            if not solver.solve((cells * sudoku.side + digits + 1).tolist()):
                return index
    return None


@functools.lru_cache(maxsize=4)
def _checker(sudoku: Sudoku) -> Solver:
    """A solver that knows the rules; making one takes longer than most questions."""
    return Solver(name=_SOLVER, bootstrap_with=_rules(sudoku))


def canonical(question: Grid, maps: NDArray[np.int64]) -> bytes:
    """Canonical form of a question [S], the same for all equivalent puzzles and no others.

    It is the smallest text among the question's images under all symmetries, compared first by
    the positions of the givens, then by digits renumbered in order of first appearance.

    Args:
        question: uint8 [S] tokens.
        maps: int64 [G, S], the result of `cell_maps`.
    """
    # Sums of distinct powers of two below 2^53: exact in float64.
    patterns = (question >= FIRST_DIGIT)[maps] @ np.exp2(np.arange(len(question)))
    images = question[maps[patterns == patterns.min()]]
    digits = np.arange(FIRST_DIGIT, FIRST_DIGIT + round(len(question) ** 0.5))
    is_digit = images[:, None, :] == digits[:, None]
    place = np.where(is_digit.any(2), is_digit.argmax(2), len(question))
    table = np.zeros((len(images), FIRST_DIGIT + len(digits)), np.uint8)
    table[:, FIRST_DIGIT:] = np.argsort(np.argsort(place, kind="stable")) + 1
    return min(row.tobytes() for row in np.take_along_axis(table, images.astype(np.int64), 1))


def _named(maker: "_Maker", seed: int, extra_givens: int) -> Iterator[tuple[bytes, Pair]]:
    """Yields puzzles, each with a name that those equivalent to it share."""
    sudoku = maker.sudoku
    maps = None
    if sudoku.cells <= _ENUMERABLE_CELLS:
        maps = cell_maps(sudoku.box_rows, sudoku.box_columns)
    for attempt in itertools.count():
        question, answer = maker.puzzle(seed, attempt, extra_givens)
        name = question.tobytes() if maps is None else canonical(question, maps)
        yield name, (question, answer)


class _Maker:
    """Draws single puzzles. The solver holds the rules; a literal is cell * side + digit + 1."""

    def __init__(self, sudoku: Sudoku, solver: Solver) -> None:
        """Stores the row, column and box of each cell as indices of `Sudoku.units`."""
        self.sudoku, self.solver = sudoku, solver
        units = np.argsort(sudoku.units().reshape(3, -1), axis=1) // sudoku.side
        places = units + np.arange(3)[:, None] * sudoku.side
        self.places: list[tuple[int, int, int]] = [tuple(place) for place in places.T.tolist()]

    def puzzle(self, seed: int, attempt: int, extra_givens: int) -> tuple[Grid, Grid]:
        """Question and answer, uint8 [S] tokens, a pure function of the arguments."""
        cells, side = self.sudoku.cells, self.sudoku.side
        words = random_words(seed, [attempt], cells * (side + 2) + 1)[0]
        wishes = random_permutations(words[: cells * side].reshape(cells, side))
        removal, comeback = random_permutations(words[cells * side : -1].reshape(2, cells))
        digits = self._solution(wishes.tolist())
        given = self._minimal(digits, removal.tolist())
        extras = int(words[-1] % np.uint64(extra_givens + 1))
        given[comeback[~given[comeback]][:extras]] = True
        answer = np.asarray(digits, np.uint8) + np.uint8(FIRST_DIGIT)
        return np.where(given, answer, np.uint8(BLANK)), answer

    def _solution(self, wishes: list[list[int]]) -> list[int]:
        """Fills a grid: each cell takes the first digit of its `wishes` that can be completed."""
        used, places = [0] * (3 * self.sudoku.side), self.places
        literals: list[int] = []
        digits = []
        for cell, wish in enumerate(wishes):
            taken = used[places[cell][0]] | used[places[cell][1]] | used[places[cell][2]]
            options = [digit for digit in wish if not taken >> digit & 1]
            start = cell * self.sudoku.side + 1
            # The last option is not tested: the cells so far can be completed.
            while len(options) > 1 and not self.solver.solve([*literals, start + options[0]]):
                options.pop(0)
            digits.append(options[0])
            literals.append(start + options[0])
            for unit in places[cell]:
                used[unit] |= 1 << options[0]
        return digits

    def _minimal(self, digits: list[int], order: list[int]) -> NDArray[np.bool_]:
        """Mask of givens [S] after removing, in this order, each that keeps the solution unique."""
        side, places = self.sudoku.side, self.places
        used = [(1 << side) - 1] * (3 * side)
        given = {cell: cell * side + digit + 1 for cell, digit in enumerate(digits)}
        for cell in order:
            literal, bit = given.pop(cell), 1 << digits[cell]
            row, column, box = places[cell]
            for unit in places[cell]:
                used[unit] ^= bit
            # If the givens around the cell exclude all other digits, no search is needed.
            forced = used[row] | used[column] | used[box] == (1 << side) - 1 - bit
            if not forced and self.solver.solve([-literal, *given.values()]):
                given[cell] = literal
                for unit in places[cell]:
                    used[unit] ^= bit
        return np.isin(np.arange(self.sudoku.cells), list(given))


def _rules(sudoku: Sudoku) -> Iterator[list[int]]:
    """Clauses of Sudoku: one digit in each cell, each digit once in each row, column and box."""
    side = sudoku.side
    literals = np.arange(1, sudoku.cells * side + 1).reshape(sudoku.cells, side)
    in_units = literals[sudoku.units()].swapaxes(1, 2).reshape(-1, side)
    for group in np.concatenate([literals, in_units]).tolist():
        yield group
        for first, second in itertools.combinations(group, 2):
            yield [-first, -second]
