"""Scoring weights on puzzles, at every depth at once; `trm eval` and the loop both call this.

Nothing is kept from one evaluation to the next, and every process sees all answers: so the result
is the same inside and outside training, and on any number of processes.
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
    """After each supervision step, of each question of a batch.

    Attributes:
      exact: bool [N, b], whether the grid is right.
      cells: float [N, b], share of right cells.
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
    """Scores every question. Padding of the last batch is never counted.

    Args:
      rollout: of the model, to the depth that is scored.
      weights: averaged, usually.
      questions: from `tasks.views.ask`.
      rows: the weights' table row for each row of the questions' data set.
      voting: how the copies of a puzzle vote, one of `Task.votings`; empty for the first.

    Returns:
      `score`, the task's main one (`Task.main_score`); `exact_accuracy` and `cell_accuracy` of the
      deepest answers, None where no answer is known; `by_depth`, a list of the same and the halting
      calibration (see `calibration.summary`) after each step; what the task's judge adds;
      `steps_used` per question, `examples`, and `seconds` (the first call's compilation included).
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
    """Means over the questions whose answers are known."""
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
