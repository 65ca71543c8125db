"""ARC's evaluation: the answers to all copies of a test vote on what its answer is.

Pure functions of predictions, nothing is kept from one evaluation to the next. As published
(`evaluators/arc.py`), but that equal candidates are told apart by their content and not by which
was seen first: so the order of the predictions, or the number of processes, changes nothing.
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
"""A grid as a key: its rows and columns, and its cells row by row."""

Ballot = list[float]
"""What the halting head thought of each copy whose answer a candidate was: probabilities."""


class Weight(NamedTuple):
    """What a candidate's ballot counts for; the larger wins, the second decides among equals."""

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
"""Ways to vote. "count" is the published one: most copies, then the surest on average."""


class Votes:
    """The ballots of one evaluation.

    Attributes:
        ballots: by test (any key) and candidate.
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
        """Adds predictions of augmented copies.

        Args:
            tests: which test each is of, [B].
            predictions: uint8 [B, S], canvases of tokens.
            halt_logits: float [B].
            transforms: uint8 [B, 10], how each copy was made.
        """
        canvases, size = originals(predictions, transforms)
        sure = halting_probability(halt_logits).tolist()
        shapes = zip(size.rows.tolist(), size.columns.tolist(), strict=True)
        for test, canvas, shape, probability in zip(tests, canvases, shapes, sure, strict=True):
            candidates = self.ballots.setdefault(test, {})
            candidates.setdefault(candidate(crop(canvas, *shape)), []).append(probability)

    def ranking(self, test: Hashable, voting: str) -> list[Candidate]:
        """The candidates of a test, the winner first; none where nothing was predicted."""
        weigh = VOTING[voting]
        weights = {key: weigh(ballot) for key, ballot in self.ballots.get(test, {}).items()}
        return sorted(weights, key=lambda key: (weights[key], key), reverse=True)


def candidate(grid: Grid) -> Candidate:
    """A grid [rows, columns] as a key."""
    return (grid.shape[0], grid.shape[1]), grid.tobytes()


def grid_of(key: Candidate) -> list[list[int]]:
    """A candidate's grid as nested lists."""
    return np.frombuffer(key[1], np.uint8).reshape(key[0]).tolist()


def pass_at(
    rankings: Mapping[Hashable, Sequence[Candidate]],
    answers: Mapping[str, Sequence[tuple[Hashable, Candidate]]],
    passes: Sequence[int] = PASSES,
) -> dict[str, float]:
    """The share of tasks that are solved within K tries.

    A task with several tests counts by the share of its tests, as published; a test that nobody
    predicted is wrong.

    Args:
        rankings: of each test.
        answers: for each task its tests and the right candidate of each.
        passes: the K's.

    Returns:
        `pass@K` for each K; nan where there are no tasks.
    """
    shares: dict[str, float] = {}
    for tries in passes:
        solved = [
            sum(right in rankings.get(test, ())[:tries] for test, right in tests) / len(tests)
            for tests in answers.values()
        ]
        shares[f"pass@{tries}"] = math.fsum(solved) / len(solved) if solved else math.nan
    return shares


def submission(
    rankings: Mapping[Hashable, Sequence[Candidate]], tests: Mapping[str, Sequence[Hashable]]
) -> dict[str, list[dict[str, Any]]]:
    """Kaggle's form: two attempts at every test of every task, in their order.

    Args:
        rankings: of each test. Where there is only one candidate it is given twice, as published;
            where there is none, or an empty grid, a black cell, as a grid may not be empty.
        tests: of each task.
    """

    def attempts(test: Hashable) -> dict[str, Any]:
        best = [grid_of(key) or BLACK_CELL for key in rankings.get(test, ())[:ATTEMPTS]]
        best += (best[:1] or [BLACK_CELL]) * (ATTEMPTS - len(best))
        return {f"attempt_{i}": grid for i, grid in enumerate(best, 1)}

    return {task: [attempts(test) for test in these] for task, these in tests.items()}
