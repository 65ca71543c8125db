"""Calibration of the halting head, against counting by hand."""

import numpy as np
import pytest

from trm_jax.core.errors import NonFiniteLossError
from trm_jax.infer.calibration import CONFIDENT, auc, first_confident, summary


def auc_by_pairs(scores, positive):
    wins = [
        (right > wrong) + 0.5 * (right == wrong)
        for right in scores[positive]
        for wrong in scores[~positive]
    ]
    return np.mean(wins)


@pytest.mark.parametrize("levels", [2, 5, 1000])
def test_auc_is_the_share_of_pairs_won_ties_counting_half(levels):
    draw = np.random.default_rng(levels)
    for _ in range(20):
        scores = draw.integers(0, levels, 30).astype(np.float32)
        positive = draw.random(30) < 0.3
        if positive.any():
            assert auc(scores, positive) == pytest.approx(auc_by_pairs(scores, positive))


def test_auc_extremes():
    scores = np.asarray([-3.0, -1.0, 2.0, 5.0])
    above = np.asarray([False, False, True, True])
    assert auc(scores, above) == 1
    assert auc(scores, ~above) == 0
    assert auc(np.zeros(4), above) == 0.5


@pytest.mark.parametrize("right", [True, False])
def test_auc_is_undefined_when_all_are_the_same(right):
    exact = np.full(5, right)
    assert auc(np.arange(5.0), exact) is None
    assert summary(np.arange(5.0), exact)["halt_auc"] is None


def test_calibrated_logits_have_no_error_and_overconfident_ones_do():
    draw = np.random.default_rng(0)
    probability = draw.random(200_000)
    logits = np.log(probability / (1 - probability))
    exact = draw.random(200_000) < probability
    assert summary(logits, exact)["halt_error"] < 0.01
    assert summary(4 * logits, exact)["halt_error"] > 0.1
    assert summary(-logits, exact)["halt_error"] > 0.3


def test_summary_by_hand():
    logits = np.asarray([0.0, 0.0, -1e3, 1e3, -1e3])
    exact = np.asarray([True, False, False, True, True])
    got = summary(logits, exact)
    assert got["halt_probability"] == pytest.approx((0.5 + 0.5 + 0 + 1 + 0) / 5)
    assert got["halt_accuracy"] == pytest.approx(3 / 5)  # logit 0 says "right"
    assert got["halt_error"] == pytest.approx(1 / 5)  # only the last is in a wrong bin
    assert got["halt_auc"] == pytest.approx((1 + 0.5 + 1 + 1 + 0 + 0.5) / 6)


def test_bfloat16_like_inputs_and_numpy_floats_are_plain_numbers():
    got = summary(np.asarray([1, -1], np.float32), np.asarray([True, False]))
    assert all(type(value) is float for value in got.values())


@pytest.mark.parametrize(
    ("probabilities", "step"),
    [
        ([0.9, 0.1, 0.1], 1),  # what comes later does not matter
        ([0.1, 0.5, 0.51, 0.2], 3),  # 0.5 itself is not above it
        ([0.1, 0.2, 0.3, 0.9], 4),
        ([0.5, 0.5], None),
        ([0.0], None),
        ([], None),
    ],
)
def test_the_first_confident_step_counts_from_one(probabilities, step):
    found = first_confident(np.asarray(probabilities))
    assert found == step and type(found) in (int, type(None))


def test_confident_is_what_training_takes_for_wanting_to_halt():
    """A halting logit above 0, in floats too."""
    logits = np.asarray([-1e-3, 0.0, 1e-3], np.float32)
    probabilities = 1 / (1 + np.exp(-logits))
    assert CONFIDENT == 0.5
    assert first_confident(probabilities) == int((logits > 0).argmax()) + 1


def test_logits_that_are_no_numbers_end_with_the_exit_code_of_broken_weights():
    with pytest.raises(NonFiniteLossError) as error:
        summary(np.asarray([0.0, np.nan]), np.asarray([True, False]))
    assert error.value.exit_code == 3 and "config.optimizer.lr" in str(error.value)
