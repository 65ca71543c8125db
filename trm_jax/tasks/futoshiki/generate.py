"""Makes Futoshiki puzzles with one solution as a pure function of a seed.

As for Sudoku, a SAT solver (python-sat's CaDiCaL) is asked only whether something is possible,
never for a solution of its choice: so the puzzles depend on no solver's heuristics or version.
"""

import itertools
from collections.abc import Iterator

import numpy as np
from pysat.solvers import Solver

from trm_jax.core.errors import UserError
from trm_jax.core.randomness import random_permutations, random_words
from trm_jax.core.symmetries import FIRST_DIGIT
from trm_jax.tasks.futoshiki.futoshiki import Futoshiki, Tokens
from trm_jax.tasks.futoshiki.symmetry import COUNT, all_symmetries

_FRUITLESS = 500
"""So many attempts in a row without a new puzzle mean that there are hardly any left."""
_SOLVER = "cadical153"


def generate(
    puzzle: Futoshiki, seed: int, count: int, extra_clues: int = 0
) -> tuple[Tokens, Tokens]:
    """Makes different puzzles with one solution each.

    Each starts as a random Latin square with all its digits and signs as clues. They are taken
    away, first digits and then signs, each in a random order, as long as the solution stays the
    only one: that leaves a minimal puzzle of many signs and few digits. Then 0 to `extra_clues`
    (uniform) of them come back. No two puzzles are equivalent under the symmetries of
    `symmetry.all_symmetries`.

    Args:
      puzzle: the side.
      seed: any integer; the first k puzzles of a longer run are those of a shorter run.
      count: how many puzzles.
      extra_clues: how many clues to put back, at most.

    Returns:
      Questions and answers, uint8 [count, S] tokens each; the signs and gaps of a question are in
      its answer as well.

    Raises:
      UserError: there are not so many different puzzles, or a number is negative.
    """
    if count < 0 or extra_clues < 0:
        raise UserError(
            f"cannot generate {count} puzzles with extra_clues={extra_clues}; neither may be "
            "negative."
        )
    with Solver(name=_SOLVER, bootstrap_with=_rules(puzzle)) as solver:
        maker = _Maker(puzzle, solver)
        pairs = list(itertools.islice(_distinct(maker, seed, extra_clues), count))
    if len(pairs) < count:
        raise UserError(
            f"only {len(pairs)} different puzzles of side {puzzle.side} were found with "
            f"extra_clues={extra_clues}, and {count} are asked for; ask for fewer or raise "
            "extra_clues."
        )
    both = np.asarray(pairs, np.uint8).reshape(count, 2, puzzle.cells)
    return both[:, 0].copy(), both[:, 1].copy()


def first_unsolvable(puzzle: Futoshiki, questions: Tokens) -> int | None:
    """Index of the first of [m, S] questions that has no solution, or None."""
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


def _distinct(maker: "_Maker", seed: int, extra_clues: int) -> Iterator[tuple[Tokens, Tokens]]:
    """Yields puzzles that differ from all before, until hardly any are left."""
    images = all_symmetries(maker.puzzle)
    seen: set[bytes] = set()
    fruitless = 0
    for attempt in itertools.count():
        question, answer = maker.make(seed, attempt, extra_clues)
        copies = images.apply(np.repeat(question[None], COUNT, axis=0))
        name = min(copy.tobytes() for copy in copies)
        fruitless = fruitless + 1 if name in seen else 0
        if fruitless > _FRUITLESS:
            return
        if not fruitless:
            seen.add(name)
            yield question, answer


class _Maker:
    """Draws single puzzles; the solver holds the rules, with the literals of `_rules`."""

    def __init__(self, puzzle: Futoshiki, solver: Solver) -> None:
        self.puzzle, self.solver = puzzle, solver
        self._signs, self._edges = _sign_literals(puzzle), puzzle.edges()

    def make(self, seed: int, attempt: int, extra_clues: int) -> tuple[Tokens, Tokens]:
        """Question and answer, uint8 [S] tokens, as a function of the arguments alone."""
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
        """A Latin square: each cell in turn takes the first digit it wishes that can go on."""
        side = self.puzzle.side
        rows, columns = [0] * side, [0] * side
        literals: list[int] = []
        digits = []
        for cell, wish in enumerate(wishes):
            row, column = divmod(cell, side)
            options = [d for d in wish if not (rows[row] | columns[column]) >> d & 1]
            start = cell * side + 1
            # The last option needs no question: the cells so far can be completed.
            while len(options) > 1 and not self.solver.solve([*literals, start + options[0]]):
                options.pop(0)
            digits.append(options[0])
            literals.append(start + options[0])
            rows[row] |= 1 << options[0]
            columns[column] |= 1 << options[0]
        return np.asarray(digits, np.int64)

    def _minimal(self, clues: list[int], order: list[int]) -> np.ndarray:
        """Which clues stay when each, in this order, goes if the solution stays the only one.

        Without a clue there is another solution just where its opposite is possible.
        """
        given = dict(enumerate(clues))
        for number in order:
            literal = given.pop(number)
            if self.solver.solve([-literal, *given.values()]):
                given[number] = literal
        return np.isin(np.arange(len(clues)), list(given))


def _sign_literals(puzzle: Futoshiki) -> np.ndarray:
    """Literal of each edge, int64 [E]: its first cell is less than its second."""
    return np.arange(len(puzzle.edges())) + puzzle.side**3 + 1


def _rules(puzzle: Futoshiki) -> Iterator[list[int]]:
    """Clauses of Futoshiki, of literals cell * side + digit + 1 and `_sign_literals`."""
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
