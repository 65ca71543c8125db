"""ARC tasks from a file: fits their rows where need be, and votes on their tests."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from trm_jax.data.format import Dataset
from trm_jax.data.questions import ask
from trm_jax.infer.evaluate import evaluate, make_scorer
from trm_jax.models.weights import Weights
from trm_jax.tasks.arc.build import build_tasks
from trm_jax.tasks.arc.records import Puzzle
from trm_jax.train.fit import fit
from trm_jax.train.trained import Trained

FIT_UPDATES = 300


@dataclasses.dataclass(frozen=True)
class Effort:
    """How much is spent on a task.

    Attributes:
      copies: augmented copies besides the original, fitted and voting.
      updates: of the fit; None takes none where the table knows all rows, else FIT_UPDATES.
      network: whether the network is fitted, too.
      steps: supervision steps of each prediction.
      voting: a key of `arc_vote.VOTING`.
      seed: of the fit.
    """

    copies: int
    updates: int | None
    network: bool
    steps: int
    voting: str
    seed: int


def solve_tasks(
    trained: Trained,
    tasks: Sequence[Puzzle],
    effort: Effort,
    source: str,
    look: Callable[[Weights, Dataset], None] | None = None,
) -> dict[str, Any]:
    """Answers tasks.

    Args:
      trained: on ARC.
      tasks: with different names; their tests may have answers or not.
      effort: to spend.
      source: where they are from, for the record.
      look: is given the fitted weights and the data set that their rows belong to.

    Returns:
      What `evaluate` gives, and `fitted`, updates, and `unknown_rows`, which the table lacks.

    Raises:
      UserError: a grid is larger than the model's canvas, or a setting makes no sense.
    """
    manifest = trained.manifest
    # the seed of the data set that was trained on: so copies get the names that the table knows
    dataset = build_tasks(tasks, manifest["side"], effort.copies, manifest["seed"], source)
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
        look(weights, dataset)
    result = evaluate(
        make_scorer(trained.model, trained.mesh, effort.steps),
        weights,
        ask(dataset, "test", effort.copies),
        np.arange(len(dataset.rows), dtype=np.int32),
        batch_size=trained.experiment.eval_batch_size,
        mesh=trained.mesh,
        voting=effort.voting,
    )
    return {"fitted": updates, "unknown_rows": unknown, **result}
