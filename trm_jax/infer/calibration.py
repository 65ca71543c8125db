"""Calibration of the halting head: how well its probability predicts a correct answer."""

import numpy as np
from numpy.typing import NDArray

from trm_jax.core.errors import NonFiniteLossError
from trm_jax.core.numerics import halting_probability

BINS = 10
CONFIDENT = 0.5
"""Halting probability above which the model counts as confident, as in training."""


def first_confident(probabilities: NDArray[np.floating]) -> int | None:
    """The first step, counted from 1, at which the model is confident; None if it never is.

    Args:
      probabilities: float [N], halting probability after each step.
    """
    confident = np.flatnonzero(probabilities > CONFIDENT)
    return int(confident[0]) + 1 if len(confident) else None


def summary(halt_logits: NDArray[np.floating], exact: NDArray[np.bool_]) -> dict[str, float | None]:
    """Compares halting probabilities, sigmoid(logit), with whether the answers are correct.

    Args:
      halt_logits: float [m].
      exact: bool [m], whether the whole answer is correct.

    Returns:
      `halt_probability`, the mean probability; `halt_accuracy`, the share of answers for which
      "logit >= 0" agrees with "correct"; `halt_error`, the expected calibration error over ten
      equal bins of probability; `halt_auc`, the probability that a correct answer has a higher
      logit than a wrong one, None if all answers are correct or all are wrong.
    """
    logits = np.asarray(halt_logits, np.float64)
    _, probability, right = reliability(logits, exact)
    return {
        "halt_probability": float(probability.sum() / len(logits)),
        "halt_accuracy": float(((logits >= 0) == exact).mean()),
        "halt_error": float(np.abs(probability - right).sum() / len(logits)),
        "halt_auc": auc(logits, exact),
    }


def reliability(
    halt_logits: NDArray[np.floating], exact: NDArray[np.bool_]
) -> tuple[NDArray[np.integer], NDArray[np.float64], NDArray[np.float64]]:
    """The data of a reliability diagram over ten equal bins of halting probability.

    Args:
      halt_logits: float [m].
      exact: bool [m], whether the whole answer is correct.

    Returns:
      For each bin, [10] each: number of answers, sum of their probabilities, number of correct
      answers.

    Raises:
      NonFiniteLossError: a logit is NaN.
    """
    if np.isnan(halt_logits).any():
        raise NonFiniteLossError(
            "The model's halting logits are NaN, so training has broken its weights; try a lower "
            "config.optimizer.lr or a longer warmup."
        )
    probability = halting_probability(halt_logits)
    bins = np.minimum((probability * BINS).astype(int), BINS - 1)
    total, right = (
        np.bincount(bins, weights=w, minlength=BINS).astype(np.float64)
        for w in (probability, exact)
    )
    return np.bincount(bins, minlength=BINS), total, right


def auc(scores: NDArray[np.floating], positive: NDArray[np.bool_]) -> float | None:
    """Area under the ROC curve, computed from ranks (Mann-Whitney).

    Args:
      scores: float [m].
      positive: bool [m], the class of each score.

    Returns:
      The area, with ties counted half; None if only one class occurs.
    """
    positives = int(positive.sum())
    negatives = len(positive) - positives
    if not positives or not negatives:
        return None
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks = (last - (counts - 1) / 2)[place]
    wins = ranks[positive].sum() - positives * (positives + 1) / 2
    return float(wins / (positives * negatives))
