"""Scoring weights on puzzles, at every depth at once; `trm eval` and the loop both call this.

Nothing is kept from one evaluation to the next, and every process sees all answers: so the result
is the same inside and outside training, and on any number of processes.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh
from numpy.typing import NDArray

from trm_jax.core.mesh import replicated, split_slots, whole_slots
from trm_jax.core.types import Batch
from trm_jax.data.pipeline import model_labels
from trm_jax.data.questions import Questions
from trm_jax.infer import calibration
from trm_jax.infer.rollout import rollout
from trm_jax.models import Model
from trm_jax.models.losses import exactness
from trm_jax.tasks.judges import judge
from trm_jax.train.state import Weights

PUBLISHED_VOTING = "count"
MAIN_SCORES = ("pass@2", "exact_accuracy")


class Scores(NamedTuple):
    """After each supervision step, of each question of a batch.

    Attributes:
      cells: float32 [N, B], share of right cells.
      exact: bool [N, B], whether the grid is right.
      halt_logits: float32 [N, B].
      answers: uint8 [N, B, S].
    """

    cells: Any
    exact: Any
    halt_logits: Any
    answers: Any


Scorer = Callable[[Weights, Batch], Scores]


def make_scorer(model: Model, mesh: Mesh, steps: int) -> Scorer:
    """Compiles the scoring of one batch.

    Args:
      model: from the registry.
      mesh: the batch is split over its data axis; the weights lie on it as in training.
      steps: depth, N.
    """

    def score(weights: Weights, batch: Batch) -> Scores:
        path = rollout(model, weights, batch.inputs, batch.ids, steps, mesh)
        answers = path.predictions.astype(batch.labels.dtype)
        cells, exact = jax.vmap(exactness, in_axes=(0, None))(answers, batch.labels)
        return Scores(cells, exact, path.halt_logits, path.predictions)

    return jax.jit(score, out_shardings=replicated(mesh))


def evaluate(
    scorer: Scorer,
    weights: Weights,
    questions: Questions,
    rows: NDArray[np.int32],
    *,
    batch_size: int,
    mesh: Mesh,
    voting: str = PUBLISHED_VOTING,
) -> dict[str, Any]:
    """Scores every question. Padding of the last batch is never counted.

    Args:
      scorer: from `make_scorer`.
      weights: averaged, usually.
      questions: from `questions.ask`.
      rows: the weights' table row for each row of the questions' data set.
      batch_size: questions per call; rounded up to what the mesh can split.
      mesh: as the scorer's.
      voting: ARC: how the copies of a test vote, a key of `arc_vote.VOTING`.

    Returns:
      `score`, the task's main one: ARC's `pass@2`, else `exact_accuracy`;
      `exact_accuracy` and `cell_accuracy` of the deepest answers, None where no answer is known;
      `by_depth`, a list of the same and the halting calibration (see `calibration.summary`) after
      each step; what the task's judge adds (`scoring.judges`); `steps_used` per question,
      `examples`, and `seconds` (the first call's compilation included).
    """
    start = time.perf_counter()
    verdict = judge(questions, voting)
    batch_size = whole_slots(min(batch_size, len(questions)), mesh)
    parts: list[Scores] = []
    for first in range(0, len(questions), batch_size):
        places = np.arange(first, min(first + batch_size, len(questions)))
        inputs, batch = _batch(questions, places, rows, batch_size, mesh)
        scores = jax.device_get(scorer(weights, batch))
        scores = Scores(*(np.asarray(array)[:, : len(places)] for array in scores))
        if verdict:
            verdict.see(places, inputs[: len(places)], scores.answers, scores.halt_logits)
        parts.append(scores._replace(answers=None))
    result = _summary(parts, questions.answered())
    if verdict:
        more = verdict.result()
        for depth, extra in zip(result["by_depth"], more.pop("by_depth", ()), strict=False):
            depth |= extra
        result |= more
    return {"score": main_score(result), **result, "seconds": time.perf_counter() - start}


def main_score(result: Mapping[str, Any]) -> float | None:
    """The one score of a task by which checkpoints are chosen."""
    return next(result[key] for key in MAIN_SCORES if key in result)


def _summary(parts: list[Scores], answered: NDArray[np.bool_]) -> dict[str, Any]:
    """Means over the questions whose answers are known."""
    cells, exact, halt_logits = (
        np.concatenate([part[i] for part in parts], axis=1)[:, answered] for i in range(3)
    )
    by_depth: list[dict[str, Any]] = []
    for depth, (c, e, logits) in enumerate(zip(cells, exact, halt_logits, strict=True), 1):
        row: dict[str, Any] = {"depth": depth, "exact_accuracy": None, "cell_accuracy": None}
        if answered.any():
            row |= {"exact_accuracy": float(e.mean()), "cell_accuracy": float(c.mean())}
            row |= calibration.summary(logits, e)
        by_depth.append(row)
    return {
        "exact_accuracy": by_depth[-1]["exact_accuracy"],
        "cell_accuracy": by_depth[-1]["cell_accuracy"],
        "steps_used": len(by_depth),
        "examples": len(answered),
        "by_depth": by_depth,
    }


def _batch(
    questions: Questions,
    places: NDArray[np.int64],
    rows: NDArray[np.int32],
    batch_size: int,
    mesh: Mesh,
) -> tuple[NDArray[np.uint8], Batch]:
    """The questions at `places`, the last one repeated up to `batch_size`; also on the mesh."""
    padded = np.pad(places, (0, batch_size - len(places)), mode="edge")
    inputs, labels, ids = questions.show(padded)
    arrays: dict[str, Any] = {
        "inputs": inputs.astype(np.int32),
        "labels": model_labels(labels),
        "ids": rows[ids].astype(np.int32),
    }
    return inputs, split_slots(Batch(**arrays), mesh)
