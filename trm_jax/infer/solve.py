"""Answers to single puzzles, for `trm solve`."""

import dataclasses

import numpy as np
from numpy.typing import NDArray

from trm_jax.infer.calibration import first_confident, halting_probability
from trm_jax.infer.rollout import Rollout
from trm_jax.models.weights import Weights
from trm_jax.tasks.task import Shape, task_of


@dataclasses.dataclass(frozen=True)
class Answer:
    """A model's answers to one puzzle.

    Attributes:
      question: uint8 [S], token ids.
      path: uint8 [N, S], the answer after each supervision step.
      confidence: float [N], halting probability after each step.
      broken: descriptions of the rules that the last answer breaks; empty if it is a solution,
        None if the task has no rules.
    """

    question: NDArray[np.uint8]
    path: NDArray[np.uint8]
    confidence: NDArray[np.floating]
    broken: list[str] | None

    @property
    def answer(self) -> NDArray[np.uint8]:
        """The answer after the last step, uint8 [S]."""
        return self.path[-1]

    @property
    def first_confident(self) -> int | None:
        """The first step, counted from 1, at which the model was confident, or None."""
        return first_confident(self.confidence)

    @property
    def steps(self) -> int:
        """`first_confident`, or the number of all steps if the model was never confident."""
        return self.first_confident or len(self.path)


def solve(
    rollout: Rollout, weights: Weights, shape: Shape, questions: NDArray[np.uint8]
) -> list[Answer]:
    """Runs the model on questions of the shape that it was trained on.

    Args:
      rollout: rollout of the model.
      weights: weights of the model, usually the averaged ones.
      shape: shape of the puzzles: the manifest of the training dataset.
      questions: uint8 [m, S], token ids.

    Returns:
      One answer per question, in order, checked against the rules and the givens.
    """
    found = rollout(weights, questions)
    return judged(shape, questions, found.predictions, halting_probability(found.halt_logits))


def judged(
    shape: Shape,
    questions: NDArray[np.uint8],
    predictions: NDArray[np.uint8],
    confidence: NDArray[np.floating],
) -> list[Answer]:
    """Checks predictions.

    Args:
      shape: shape of the puzzles.
      questions: uint8 [m, S], token ids.
      predictions: uint8 [N, m, S], after each step.
      confidence: float [N, m], halting probabilities.

    Returns:
      One answer per question, in order.
    """
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
