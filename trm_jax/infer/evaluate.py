"""Evaluation at every number of supervision steps at once, for `trm eval` and the training loop.

An evaluation keeps no state, and every process sees all answers, so the result is the same inside
and outside training, and for any number of processes.
"""

import time
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from trm_jax.data.questions import Questions
from trm_jax.infer import calibration
from trm_jax.infer.exactness import compare
from trm_jax.infer.rollout import Rollout
from trm_jax.models.weights import Weights
from trm_jax.tasks.task import main_score, task_of


class Scores(NamedTuple):
    """Scores of the b questions of a batch after each of N supervision steps.

    Attributes:
      exact: bool [N, b], whether the whole answer is correct.
      cells: float [N, b], share of correct cells.
      halt_logits: float32 [N, b].
    """

    exact: NDArray[np.bool_]
    cells: NDArray[np.floating]
    halt_logits: NDArray[np.float32]


def evaluate(
    rollout: Rollout,
    weights: Weights,
    questions: Questions,
    rows: NDArray[np.int32],
    *,
    voting: str = "",
) -> dict[str, Any]:
    """Evaluates a model on all questions.

    Args:
      rollout: the model's rollout, with as many steps as are to be evaluated.
      weights: weights of the model, usually the averaged ones.
      questions: from `tasks.views.ask`.
      rows: int32 [R], row of the puzzle table for each row of the questions' dataset.
      voting: how the copies of a puzzle vote, one of `Task.votings`; empty for the first.

    Returns:
      `score`, the task's main score (`Task.main_score`); `exact_accuracy` and `cell_accuracy` after
      the last step, None if no labels are known; `by_depth`, a list of the same and the halting
      calibration (see `calibration.summary`) after each step; the scores of the task's judge;
      `steps_used` per question, `examples`, and `seconds`, including compilation. Questions that
      pad the last batch are not counted.
    """
    start = time.perf_counter()
    task = task_of(questions.dataset.manifest)
    verdict = task.judge(questions, voting)
    parts: list[Scores] = []
    for first in range(0, len(questions), rollout.batch_size):
        places = np.arange(first, min(first + rollout.batch_size, len(questions)))
        inputs, labels, ids = questions.show(places)
        answers = rollout(weights, inputs, rows[ids])
        if verdict:
            verdict.see(places, inputs, answers.predictions, answers.halt_logits)
        parts.append(Scores(*compare(answers.predictions, labels), answers.halt_logits))
    result = _summary(parts, questions.answered())
    if verdict:
        more = verdict.result()
        for depth, extra in zip(result["by_depth"], more.pop("by_depth", ()), strict=False):
            depth |= extra
        result |= more
    score = main_score(task, result)
    return {"score": score, **result, "seconds": time.perf_counter() - start}


def _summary(parts: list[Scores], answered: NDArray[np.bool_]) -> dict[str, Any]:
    """Means over the questions with known labels."""
    exact, cells, halt_logits = (
        np.concatenate([part[i] for part in parts], axis=1)[:, answered] for i in range(3)
    )
    by_depth: list[dict[str, Any]] = []
    for depth, (e, c, logits) in enumerate(zip(exact, cells, halt_logits, strict=True), 1):
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
