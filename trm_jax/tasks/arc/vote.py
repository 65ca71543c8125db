"""ARC's evaluation: the predictions for all copies of a test vote on its answer.

All functions are pure; nothing is kept between evaluations. As published (`evaluators/arc.py`),
except that ties are broken by content and not by which candidate was seen first, so that the result
does not depend on the order of predictions or the number of processes.
"""

import math
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from trm_jax.core.numerics import halting_probability
from trm_jax.tasks.arc.canvas import crop, originals
from trm_jax.tasks.arc.records import Grid, Transforms

PASSES = (1, 2, 5, 10, 100, 1000)
ATTEMPTS = 2
BLACK_CELL = [[0]]

Candidate = tuple[tuple[int, int], bytes]
"""A grid as a key: its number of rows and columns, and its cells row by row."""

Ballot = list[float]
"""Halting probabilities of the copies whose prediction is this candidate."""


class Weight(NamedTuple):
    """Weight of a candidate's ballot; the larger first one wins, and the second breaks ties."""

    first: float
    second: float


def _mean(ballot: Ballot) -> float:
    return math.fsum(ballot) / len(ballot)


VOTING: dict[str, Callable[[Ballot], Weight]] = {
    "count": lambda ballot: Weight(len(ballot), _mean(ballot)),
    "confidence_sum": lambda ballot: Weight(math.fsum(ballot), len(ballot)),
    "confidence_mean": lambda ballot: Weight(_mean(ballot), len(ballot)),
    "confidence_max": lambda ballot: Weight(max(ballot), len(ballot)),
}
"""Voting methods. "count" is the published one: most copies, then highest mean confidence."""


class Votes:
    """The ballots of one evaluation.

    Attributes:
        ballots: ballots by test (any key) and candidate.
    """

    def __init__(self) -> None:
        self.ballots: dict[Hashable, dict[Candidate, Ballot]] = {}

    def add(
        self,
        tests: Iterable[Hashable],
        predictions: NDArray[np.uint8],
        halt_logits: NDArray[np.floating],
        transforms: Transforms,
    ) -> None:
        """Adds predictions for augmented copies.

        Args:
            tests: key of each prediction's test, [B].
            predictions: uint8 [B, S], canvases of tokens.
            halt_logits: float [B].
            transforms: uint8 [B, 10], the transform of each copy.
        """
        canvases, size = originals(predictions, transforms)
        sure = halting_probability(halt_logits).tolist()
        shapes = zip(size.rows.tolist(), size.columns.tolist(), strict=True)
        for test, canvas, shape, probability in zip(tests, canvases, shapes, sure, strict=True):
            candidates = self.ballots.setdefault(test, {})
            candidates.setdefault(candidate(crop(canvas, *shape)), []).append(probability)

    def ranking(self, test: Hashable, voting: str) -> list[Candidate]:
        """Candidates of a test, the best first; empty without predictions."""
        weigh = VOTING[voting]
        weights = {key: weigh(ballot) for key, ballot in self.ballots.get(test, {}).items()}
        return sorted(weights, key=lambda key: (weights[key], key), reverse=True)


def candidate(grid: Grid) -> Candidate:
    """Converts a grid [rows, columns] to a key."""
    return (grid.shape[0], grid.shape[1]), grid.tobytes()


def grid_of(key: Candidate) -> list[list[int]]:
    """Converts a candidate to nested lists."""
    return np.frombuffer(key[1], np.uint8).reshape(key[0]).tolist()


def pass_at(
    rankings: Mapping[Hashable, Sequence[Candidate]],
    answers: Mapping[str, Sequence[tuple[Hashable, Candidate]]],
    passes: Sequence[int] = PASSES,
) -> dict[str, float]:
    """Fraction of tasks that are solved within K attempts.

    A task with several tests counts by its fraction of solved tests, as published; a test without
    predictions counts as wrong.

    Args:
        rankings: ranking of each test's candidates.
        answers: for each task its tests with their right candidates.
        passes: values of K.

    Returns:
        `pass@K` for each K; NaN without tasks.
    """
    shares: dict[str, float] = {}
    for attempts in passes:
        solved = [
            sum(right in rankings.get(test, ())[:attempts] for test, right in tests) / len(tests)
            for tests in answers.values()
        ]
        shares[f"pass@{attempts}"] = math.fsum(solved) / len(solved) if solved else math.nan
    return shares


def submission(
    rankings: Mapping[Hashable, Sequence[Candidate]], tests: Mapping[str, Sequence[Hashable]]
) -> dict[str, list[dict[str, Any]]]:
    """Makes a submission in Kaggle's form: two attempts at every test of every task, in order.

    Args:
        rankings: ranking of each test's candidates. A single candidate is submitted twice, as
            published; without candidates, or for an empty grid, a black cell is submitted, since
            grids must not be empty.
        tests: tests of each task.
    """

    def attempts(test: Hashable) -> dict[str, Any]:
        best = [grid_of(key) or BLACK_CELL for key in rankings.get(test, ())[:ATTEMPTS]]
        best += (best[:1] or [BLACK_CELL]) * (ATTEMPTS - len(best))
        return {f"attempt_{i}": grid for i, grid in enumerate(best, 1)}

    return {task: [attempts(test) for test in these] for task, these in tests.items()}
