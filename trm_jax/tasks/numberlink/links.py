"""Decides with a SAT solver whether a Numberlink has a solution, and whether it is unique.

A loop of a letter, separate from its path, satisfies every rule for single cells. Loops are
excluded when they occur: for each one in a solution a clause against it is added, which holds for
all puzzles of this size.
"""

import itertools
from collections.abc import Iterator
from typing import Self

import numpy as np
from pysat.solvers import Solver

from trm_jax.core.symmetries import FIRST_DIGIT
from trm_jax.tasks.numberlink.numberlink import Numberlink, Tokens

_SOLVER = "cadical153"


class Links:
    """A solver for puzzles of one size; as a context manager it frees the solver.

    Literals: cell * letters + letter + 1 for a letter in a cell; then one for each cell, whether it
    is an end of a path; one for each letter, whether it may be used; and one for each call of
    `unique`.
    """

    def __init__(self, puzzle: Numberlink) -> None:
        """Starts a solver with the rules."""
        self._puzzle = puzzle
        self._ends = puzzle.cells * puzzle.letters + 1
        self._used = self._ends + puzzle.cells
        self._next = self._used + puzzle.letters
        self._solver = Solver(name=_SOLVER, bootstrap_with=self._rules())

    def __enter__(self) -> Self:
        """Returns itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Frees the solver."""
        self._solver.delete()

    def solvable(self, question: Tokens) -> bool:
        """Whether a question [S] has a solution."""
        return self._possible(self._given(question), question)

    def unique(self, question: Tokens, answer: Tokens) -> bool:
        """Whether the answer [S] is the only solution of a question [S]."""
        other, self._next = self._next, self._next + 1
        self._solver.add_clause([-other, *(-literal for literal in self._literals(answer))])
        found = self._possible([other, *self._given(question)], question)
        self._solver.add_clause([-other])
        return not found

    def _possible(self, assumptions: list[int], question: Tokens) -> bool:
        """Whether there is a solution without loops."""
        puzzle = self._puzzle
        cells = np.arange(puzzle.cells)
        ends = question >= FIRST_DIGIT
        while self._solver.solve(assumptions):
            model = np.asarray(self._solver.get_model()[: self._ends - 1])
            grid = (model.reshape(puzzle.cells, -1) > 0).argmax(1).astype(np.uint8)
            loose = ~puzzle.reached(grid[None], ends[None])[0]
            if not loose.any():
                return True
            start = cells == loose.argmax()
            loop = np.flatnonzero(puzzle.reached(grid[None], start[None])[0])
            for letter in range(puzzle.letters):
                self._solver.add_clause((-(loop * puzzle.letters + letter + 1)).tolist())
        return False

    def _literals(self, tokens: Tokens) -> list[int]:
        """The literals of a grid's letters."""
        cells = np.flatnonzero(tokens >= FIRST_DIGIT)
        letters = tokens[cells].astype(int) - FIRST_DIGIT
        return (cells * self._puzzle.letters + letters + 1).tolist()

    def _given(self, question: Tokens) -> list[int]:
        """The literals of a question [S]: its letters, the ends of paths, the unused letters."""
        ends = np.arange(len(question)) + self._ends
        letters = np.arange(self._puzzle.letters)
        used = np.isin(letters + FIRST_DIGIT, question)
        return [
            *self._literals(question),
            *np.where(question >= FIRST_DIGIT, ends, -ends).tolist(),
            *(-(letters + self._used)[~used]).tolist(),
        ]

    def _rules(self) -> Iterator[list[int]]:
        """Clauses: one letter in each cell, which one or two neighbours share."""
        count, side = self._puzzle.letters, self._puzzle.side
        for cell, beside in enumerate(self._puzzle.neighbours()):
            own = [cell * count + letter + 1 for letter in range(count)]
            yield own
            yield from ([-one, -other] for one, other in itertools.combinations(own, 2))
            end = self._ends + cell
            for letter, here in enumerate(own):
                yield [-here, self._used + letter]
                others = [each * count + letter + 1 for each in beside]
                yield [-here, *others]
                for two in itertools.combinations(others, 2):
                    yield [-here, -end, *(-literal for literal in two)]
                for three in itertools.combinations(others, 3):
                    yield [-here, *(-literal for literal in three)]
                for fewer in itertools.combinations(others, len(others) - 1):
                    yield [-here, end, *fewer]
                if cell % side < side - 1 and cell + side < side**2:
                    block = (cell, cell + 1, cell + side, cell + side + 1)  # the smallest loop
                    yield [-(each * count + letter + 1) for each in block]
