"""What an answer costs and how right it is, counted by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from trm_jax.core.errors import UserError
from trm_jax.core.types import IGNORE
from trm_jax.models.losses import exactness, halt_loss, step_metrics, step_weights, token_loss
from trm_jax.models.settings import LossConfig

LABELS = np.asarray(
    [
        [1, 2, 3, 4],
        [1, IGNORE, IGNORE, 2],
        [IGNORE, 3, IGNORE, IGNORE],
        [IGNORE, IGNORE, IGNORE, IGNORE],
    ],
    np.int32,
)
COUNTED = LABELS != IGNORE
PREDICTIONS = np.asarray([[1, 2, 3, 4], [1, 0, 0, 0], [0, 0, 0, 0], [1, 2, 3, 4]], np.int32)


def some_logits(seed=0):
    return np.random.default_rng(seed).normal(0, 3, (4, 4, 5)).astype(np.float32)


def stablemax_losses(logits):
    """float64 [B, S], cost of each cell; of label 0 where a cell is not counted."""
    v = logits.astype(np.float64)
    s = np.where(v >= 0, v + 1, 1 / (1 - np.minimum(v, 0)))
    p = s / s.sum(-1, keepdims=True)
    target = np.where(COUNTED, LABELS, 0)
    return -np.log(np.take_along_axis(p, target[..., None], -1)[..., 0])


def test_token_loss_is_the_mean_over_each_examples_counted_cells():
    cells = stablemax_losses(some_logits())
    expected = [cells[i][COUNTED[i]].mean() for i in range(3)] + [0]
    np.testing.assert_allclose(token_loss(some_logits(), LABELS), expected, rtol=1e-5)


def test_ignored_cells_have_no_part_in_the_loss():
    one, other = some_logits(0), some_logits(1)
    mixed = np.where(COUNTED[..., None], one, other)
    np.testing.assert_array_equal(token_loss(mixed, LABELS), token_loss(one, LABELS))
    gradient = jax.jit(jax.grad(lambda v: jnp.sum(token_loss(v, LABELS))))(some_logits())
    assert np.isfinite(gradient).all()
    assert not np.asarray(gradient)[~COUNTED].any()
    assert (np.abs(np.asarray(gradient)[COUNTED]).max(axis=-1) > 0).all()


def test_token_loss_of_bfloat16_logits_is_taken_in_float32():
    logits = jnp.asarray(some_logits(), jnp.bfloat16)
    got = token_loss(logits, LABELS)
    assert got.dtype == jnp.float32
    np.testing.assert_array_equal(got, token_loss(logits.astype(jnp.float32), LABELS))


@pytest.mark.parametrize("kind", ["stablemax", "softmax"])
@pytest.mark.parametrize("share", [0.0, 0.2])
def test_each_kind_with_and_without_smoothing_by_hand(kind, share):
    v = some_logits().astype(np.float64)
    s = np.exp(v) if kind == "softmax" else np.where(v >= 0, v + 1, 1 / (1 - np.minimum(v, 0)))
    log_p = np.log(s / s.sum(-1, keepdims=True))
    target = (1 - share) * np.eye(5)[np.where(COUNTED, LABELS, 0)] + share / 5
    cells = -(target * log_p).sum(-1)
    expected = [cells[i][COUNTED[i]].mean() for i in range(3)] + [0]
    got = token_loss(some_logits(), LABELS, LossConfig(kind=kind, label_smoothing=share))
    np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_step_weights_by_hand():
    np.testing.assert_allclose(step_weights(LossConfig(step_decay=0.5), 3), [12 / 7, 6 / 7, 3 / 7])
    np.testing.assert_array_equal(step_weights(LossConfig(), 4), np.ones(4))
    assert step_weights(LossConfig(step_decay=0.7), 16).mean() == pytest.approx(1)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("kind", "hinge"),
        ("label_smoothing", 1.0),
        ("label_smoothing", -0.1),
        ("halt_weight", -1.0),
        ("halt_weight", float("nan")),
        ("step_decay", 0.0),
    ],
)
def test_senseless_settings_are_refused(key, value):
    with pytest.raises(UserError, match=rf"config\.loss\.{key} is .*(must|choose)"):
        LossConfig(**{key: value})


def test_halt_loss_by_formula():
    logits = np.asarray([0.0, 2.0, 2.0, -5.0, -5.0, 300.0, -300.0, 300.0], np.float32)
    exact = np.asarray([True, True, False, True, False, True, False, False])
    signed = np.where(exact, logits, -logits).astype(np.float64)
    np.testing.assert_allclose(halt_loss(logits, exact), np.logaddexp(0, -signed), 1e-6, 1e-30)
    gradient = jax.grad(lambda v: jnp.sum(halt_loss(v, exact)))(logits)
    expected = 1 / (1 + np.exp(-logits.astype(np.float64))) - exact
    np.testing.assert_allclose(gradient, expected, rtol=1e-5, atol=1e-7)


def test_exactness():
    share, exact = exactness(PREDICTIONS, LABELS)
    np.testing.assert_array_equal(share, [1, 0.5, 0, 0])
    np.testing.assert_array_equal(exact, [True, False, False, True])
    assert share.dtype == jnp.float32
    filled = np.where(COUNTED, LABELS, 0)
    assert np.asarray(exactness(filled, LABELS)[1]).all()


def test_exactness_of_many_answers_at_once():
    several = np.stack([PREDICTIONS, np.zeros_like(PREDICTIONS)])
    share, exact = exactness(several, np.broadcast_to(LABELS, several.shape))
    assert share.shape == exact.shape == (2, 4)
    np.testing.assert_array_equal(exact[1], [False, False, False, True])


@pytest.fixture
def metrics():
    """Examples 0, 1 and 2 count, 3 does not; 1 and 3 halt."""
    share, exact = exactness(PREDICTIONS, LABELS)
    got = step_metrics(
        token_losses=jnp.asarray([0.5, 1.0, 2.0, 0.0]),
        halt_losses=jnp.asarray([0.1, 0.2, 0.3, 0.4]),
        cell_accuracy=share,
        exact=exact,
        halt_logits=jnp.asarray([1.0, 0.0, -1.0, -1.0]),
        labels=LABELS,
        steps=jnp.asarray([3, 5, 7, 11], jnp.int32),
        halted=jnp.asarray([False, True, False, True]),
    )
    assert all(value.shape == () and value.dtype == jnp.float32 for value in got.values())
    return {key: float(value) for key, value in got.items()}


def test_losses_are_summed_over_every_slot(metrics):
    assert metrics["token_loss"] == pytest.approx(3.5)
    assert metrics["halt_loss"] == pytest.approx(1.0)


def test_metrics_of_all_slots_leave_out_examples_without_counted_cells(metrics):
    assert metrics["all/count"] == 3
    assert metrics["all/cell_accuracy"] == pytest.approx(1.5)
    assert metrics["all/exact_accuracy"] == 1
    assert metrics["all/halt_accuracy"] == 2  # logit 0 of example 1 says "right", and is wrong
    assert metrics["all/steps"] == 3 + 5 + 7


def test_metrics_of_halted_slots_look_at_those_alone(metrics):
    assert metrics["halted/count"] == 1
    assert metrics["halted/cell_accuracy"] == 0.5
    assert metrics["halted/exact_accuracy"] == 0
    assert metrics["halted/halt_accuracy"] == 0
    assert metrics["halted/steps"] == 5
