"""Generates Futoshiki puzzles with one solution as a pure function of a seed.

As for Sudoku, a SAT solver (python-sat's CaDiCaL) only decides whether a solution exists and never
chooses one, so the puzzles do not depend on the solver's heuristics or version.
"""

import itertools
from collections.abc import Iterator

import numpy as np
from pysat.solvers import Solver

from trm_jax.core.errors import UserError
from trm_jax.core.randomness import random_permutations, random_words
from trm_jax.core.symmetries import FIRST_DIGIT
from trm_jax.tasks.distinct import Pair, collect, first_of_each
from trm_jax.tasks.futoshiki.futoshiki import Futoshiki, Tokens
from trm_jax.tasks.futoshiki.symmetry import COUNT, all_symmetries

_FRUITLESS = 500
"""Number of attempts in a row without a new puzzle after which generation stops."""
_SOLVER = "cadical153"


def generate(
    puzzle: Futoshiki, seed: int, count: int, extra_clues: int = 0
) -> tuple[Tokens, Tokens]:
    """Generates different puzzles with one solution each.

    Each puzzle starts as a random Latin square with all its digits and signs as clues. Clues are
    removed in a random order, digits before signs, as long as the solution stays unique; the result
    is a minimal puzzle with many signs and few digits. Then 0 to `extra_clues` clues, drawn
    uniformly, are put back. No two puzzles are equivalent under `symmetry.all_symmetries`.

    Args:
      puzzle: the size of the puzzles.
      seed: any integer; fewer puzzles of the same seed are the beginning of more.
      count: number of puzzles.
      extra_clues: maximum number of clues to put back.

    Returns:
      Questions and answers, tokens uint8 [count, S] each; answers repeat the signs and gaps of
      their questions.

    Raises:
      UserError: there are fewer different puzzles, or a number is negative.
    """
    if extra_clues < 0:
        raise UserError(f"extra_clues is {extra_clues}; give 0 or more.")
    with Solver(name=_SOLVER, bootstrap_with=_rules(puzzle)) as solver:
        maker = _Maker(puzzle, solver)
        pairs = first_of_each(_named(maker, seed, extra_clues), _FRUITLESS)
        what = f"puzzles of side {puzzle.side} with extra_clues={extra_clues}"
        return collect(pairs, count, puzzle.cells, what, "raise extra_clues")


def first_unsolvable(puzzle: Futoshiki, questions: Tokens) -> int | None:
    """Index of the first of questions [m, S] without a solution, or None."""
    squares = puzzle.squares()
    with Solver(name=_SOLVER, bootstrap_with=_rules(puzzle)) as solver:
        for index, question in enumerate(questions):
            digits = question[squares].astype(int) - FIRST_DIGIT
            cells = np.flatnonzero(digits >= 0)
            clues = (cells * puzzle.side + digits[cells] + 1).tolist()
            signs = -puzzle.differences(question[None])[0]
            clues += (signs * _sign_literals(puzzle))[signs != 0].tolist()
            if not solver.solve(clues):
                return index
    return None


def _named(maker: "_Maker", seed: int, extra_clues: int) -> Iterator[tuple[bytes, Pair]]:
    """Yields puzzles, each with a name that those equivalent to it share."""
    images = all_symmetries(maker.puzzle)
    for attempt in itertools.count():
        question, answer = maker.make(seed, attempt, extra_clues)
        copies = images.apply(np.repeat(question[None], COUNT, axis=0))
        yield min(copy.tobytes() for copy in copies), (question, answer)


class _Maker:
    """Generates single puzzles; the solver has the rules, with the literals of `_rules`."""

    def __init__(self, puzzle: Futoshiki, solver: Solver) -> None:
        self.puzzle, self.solver = puzzle, solver
        self._signs, self._edges = _sign_literals(puzzle), puzzle.edges()

    def make(self, seed: int, attempt: int, extra_clues: int) -> tuple[Tokens, Tokens]:
        """Question and answer, tokens uint8 [S]; a function of the arguments only."""
        puzzle, cells = self.puzzle, self.puzzle.side**2
        total = cells + len(self._signs)
        words = random_words(seed, [attempt], cells * puzzle.side + 2 * total + 1)[0]
        wishes, orders = words[: cells * puzzle.side], words[cells * puzzle.side : -1]
        digits = self._solution(random_permutations(wishes.reshape(cells, -1)).tolist())
        removal, comeback = random_permutations(orders.reshape(2, total))
        removal = np.concatenate([removal[removal < cells], removal[removal >= cells]])
        _, first, second = self._edges.T
        signs = np.sign(digits[first] - digits[second])
        clues = np.concatenate([np.arange(cells) * puzzle.side + digits + 1, -signs * self._signs])
        given = self._minimal(clues.tolist(), removal.tolist())
        extras = int(words[-1] % np.uint64(extra_clues + 1))
        given[comeback[~given[comeback]][:extras]] = True
        shown = np.where(given[cells:], signs, 0)
        question = puzzle.board(np.where(given[:cells], digits, -1), shown)
        return question, puzzle.board(digits, shown)

    def _solution(self, wishes: list[list[int]]) -> np.ndarray:
        """A Latin square: each cell gets the first digit of its list that allows a solution."""
        side = self.puzzle.side
        rows, columns = [0] * side, [0] * side
        literals: list[int] = []
        digits = []
        for cell, wish in enumerate(wishes):
            row, column = divmod(cell, side)
            options = [d for d in wish if not (rows[row] | columns[column]) >> d & 1]
            start = cell * side + 1
            # the last option needs no check, since the cells so far can be completed
            while len(options) > 1 and not self.solver.solve([*literals, start + options[0]]):
                options.pop(0)
            digits.append(options[0])
            literals.append(start + options[0])
            rows[row] |= 1 << options[0]
            columns[column] |= 1 << options[0]
        return np.asarray(digits, np.int64)

    def _minimal(self, clues: list[int], order: list[int]) -> np.ndarray:
        """Removes clues in this order while the solution stays unique; bool, which are kept.

        Without a clue there is another solution exactly if the opposite of the clue is possible.
        """
        given = dict(enumerate(clues))
        for number in order:
            literal = given.pop(number)
            if self.solver.solve([-literal, *given.values()]):
                given[number] = literal
        return np.isin(np.arange(len(clues)), list(given))


def _sign_literals(puzzle: Futoshiki) -> np.ndarray:
    """Literal of each pair of neighbours, int64 [E]: the first cell is less than the second."""
    return np.arange(len(puzzle.edges())) + puzzle.side**3 + 1


def _rules(puzzle: Futoshiki) -> Iterator[list[int]]:
    """Clauses of the rules; literals are cell * side + digit + 1 and `_sign_literals`."""
    side = puzzle.side
    literals = np.arange(1, side**3 + 1).reshape(side, side, side)
    views = (literals, literals.transpose(0, 2, 1), literals.transpose(1, 2, 0))
    for group in np.concatenate([view.reshape(-1, side) for view in views]).tolist():
        yield group
        for one, other in itertools.combinations(group, 2):
            yield [-one, -other]
    of_cell = literals.reshape(-1, side)
    for sign, (_, first, second) in zip(_sign_literals(puzzle), puzzle.edges(), strict=True):
        for low, high in itertools.combinations(range(side), 2):
            yield [int(sign), -int(of_cell[first, low]), -int(of_cell[second, high])]
            yield [-int(sign), -int(of_cell[first, high]), -int(of_cell[second, low])]
