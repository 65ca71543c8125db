"""Asks a SAT solver whether a Numberlink has a solution, and whether it has another one.

Loops of a letter apart from its path keep every rule that concerns single cells. They are excluded
as they turn up: a loop in a solution becomes a clause against it, for all puzzles of the size.
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
    """Solutions of puzzles of one size; a context that frees the solver.

    Literals: cell * letters + letter + 1 for a letter in a cell; then of each cell whether it is an
    end of a path, and of each letter whether it may be used; then one of each question about
    another solution.
    """

    def __init__(self, puzzle: Numberlink) -> None:
        """Starts a solver with the rules."""
        self._puzzle = puzzle
        self._ends = puzzle.cells * puzzle.letters + 1
        self._used = self._ends + puzzle.cells
        self._next = self._used + puzzle.letters
        self._solver = Solver(name=_SOLVER, bootstrap_with=self._rules())

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Frees the solver."""
        self._solver.delete()

    def solvable(self, question: Tokens) -> bool:
        """Whether a question [S] has a solution."""
        return self._possible(self._given(question), question)

    def unique(self, question: Tokens, answer: Tokens) -> bool:
        """Whether a question [S] has no other solution than an answer [S]."""
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
        """Of the letters of a grid."""
        cells = np.flatnonzero(tokens >= FIRST_DIGIT)
        letters = tokens[cells].astype(int) - FIRST_DIGIT
        return (cells * self._puzzle.letters + letters + 1).tolist()

    def _given(self, question: Tokens) -> list[int]:
        """What a question [S] says: letters, which cells are ends, which letters there are."""
        ends = np.arange(len(question)) + self._ends
        letters = np.arange(self._puzzle.letters)
        used = np.isin(letters + FIRST_DIGIT, question)
        return [
            *self._literals(question),
            *np.where(question >= FIRST_DIGIT, ends, -ends).tolist(),
            *(-(letters + self._used)[~used]).tolist(),
        ]

    def _rules(self) -> Iterator[list[int]]:
        """Clauses: one letter in each cell, and one or two neighbours of its letter."""
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
