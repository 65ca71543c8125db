"""Answers to single puzzles: what `trm solve` does."""

import dataclasses

import numpy as np
from numpy.typing import NDArray

from trm_jax.infer.calibration import first_confident, halting_probability
from trm_jax.infer.rollout import Rollout
from trm_jax.models.weights import Weights
from trm_jax.tasks.task import Shape, task_of


@dataclasses.dataclass(frozen=True)
class Answer:
    """What the model makes of one puzzle.

    Attributes:
      question: uint8 [S], token ids.
      path: uint8 [N, S], its answer after each supervision step.
      confidence: float [N], halting probability after each step.
      broken: the rules that the last answer breaks, in words; empty when it is a solution, None
        where the task's rules are not known.
    """

    question: NDArray[np.uint8]
    path: NDArray[np.uint8]
    confidence: NDArray[np.floating]
    broken: list[str] | None

    @property
    def answer(self) -> NDArray[np.uint8]:
        """uint8 [S], after the last step."""
        return self.path[-1]

    @property
    def first_confident(self) -> int | None:
        """The first step after which the model was confident of its answer; None if never."""
        return first_confident(self.confidence)

    @property
    def steps(self) -> int:
        """The same; all steps if never."""
        return self.first_confident or len(self.path)


def solve(
    rollout: Rollout, weights: Weights, shape: Shape, questions: NDArray[np.uint8]
) -> list[Answer]:
    """Runs the model on questions of the kind that it was trained on.

    Args:
      rollout: of the model.
      weights: averaged, usually.
      shape: of the puzzles, the manifest of the data set that was trained on.
      questions: uint8 [m, S].

    Returns:
      One answer for each question, in order, checked by the rules and the givens.
    """
    found = rollout(weights, questions)
    return judged(shape, questions, found.predictions, halting_probability(found.halt_logits))


def judged(
    shape: Shape,
    questions: NDArray[np.uint8],
    predictions: NDArray[np.uint8],
    confidence: NDArray[np.floating],
) -> list[Answer]:
    """Answers and verdicts, out of predictions [N, m, S] and halting probabilities [N, m]."""
    task = task_of(shape)
    return [
        Answer(
            question=question,
            path=predictions[:, i],
            confidence=confidence[:, i],
            broken=task.check(shape, question, predictions[-1, i]),
        )
        for i, question in enumerate(questions)
    ]
