"""Solves puzzles with demonstrations (ARC): trains missing table rows, and lets copies vote."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from trm_jax.data.format import Dataset
from trm_jax.infer.evaluate import evaluate
from trm_jax.infer.rollout import Rollout
from trm_jax.models.weights import Weights
from trm_jax.tasks.board import Grid
from trm_jax.tasks.task import task_of
from trm_jax.tasks.views import ask
from trm_jax.train.fit import fit
from trm_jax.train.trained import Trained

FIT_UPDATES = 300


@dataclasses.dataclass(frozen=True)
class Effort:
    """Settings for solving puzzles with demonstrations.

    Attributes:
      copies: augmented copies besides the original, which are trained on and vote.
      updates: updates of training on demonstrations; None for FIT_UPDATES if rows of the table are
        missing, else 0.
      network: whether to train the network as well.
      steps: supervision steps of each prediction.
      voting: one of `Task.votings`; empty for the first.
      seed: seed of training on demonstrations.
    """

    copies: int
    updates: int | None
    network: bool
    steps: int
    voting: str
    seed: int


class Attempted(NamedTuple):
    """The attempts at one test.

    Attributes:
      name: name of the puzzle.
      question: grid [rows, columns].
      answer: the correct answer, a grid; None if it is unknown.
      attempts: two grids, the more likely first.
    """

    name: str
    question: Grid
    answer: Grid | None
    attempts: tuple[Grid, ...]

    def is_right(self, attempt: Grid) -> bool | None:
        """Whether an attempt is correct; None if the answer is unknown."""
        return None if self.answer is None else bool(np.array_equal(attempt, self.answer))

    @property
    def right(self) -> bool | None:
        """Whether one of the attempts is correct; None if the answer is unknown."""
        if self.answer is None:
            return None
        return any(map(self.is_right, self.attempts))


def solve_groups(
    trained: Trained,
    dataset: Dataset,
    effort: Effort,
    look: Callable[[Weights], None] | None = None,
) -> dict[str, Any]:
    """Solves puzzles with demonstrations.

    Args:
      trained: a model of this task.
      dataset: the puzzles, from `Task.groups_of`.
      effort: settings.
      look: called with the trained weights, whose table has the rows of the dataset.

    Returns:
      The result of `evaluate`, with `fitted`, the number of updates, and `unknown_rows`, the number
      of rows that the table lacks.

    Raises:
      UserError: a setting is invalid.
    """
    unknown = int((trained.rows.find(dataset.rows) < 0).sum())
    updates = effort.updates
    if updates is None:
        updates = FIT_UPDATES if unknown else 0
    weights = fit(
        trained,
        dataset,
        updates=updates,
        copies=effort.copies,
        network=effort.network,
        seed=effort.seed,
    )
    if look:
        look(weights)
    questions = ask(dataset, "test", effort.copies)
    size = min(trained.experiment.eval_batch_size, len(questions))
    rollout = Rollout(trained.model, trained.mesh, effort.steps, size)
    rows = np.arange(len(dataset.rows), dtype=np.int32)
    result = evaluate(rollout, weights, questions, rows, voting=effort.voting)
    return {"fitted": updates, "unknown_rows": unknown, **result}


def attempted(dataset: Dataset, submission: Mapping[str, Any]) -> list[Attempted]:
    """The tests of a dataset in order, with the attempts of a submission."""
    shape, task = dataset.manifest, task_of(dataset.manifest)
    tests, puzzles = dataset.examples("test"), dataset.puzzles()
    taken: dict[str, int] = {}
    found = []
    for test in tests.tolist():
        name, label = dataset.rows.names[puzzles[test]], dataset.labels[test]
        place = taken[name] = taken.get(name, -1) + 1
        attempts = submission[name][place].values()
        found.append(
            Attempted(
                name=name,
                question=task.grid(shape, dataset.inputs[test]),
                answer=task.grid(shape, label) if label.any() else None,
                attempts=tuple(task.attempt_grid(attempt) for attempt in attempts),
            )
        )
    return found
