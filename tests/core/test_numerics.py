"""Initialisation, the norm and stable-max, against NumPy in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from trm_jax.core.numerics import lecun_normal, log_stablemax, rms_norm, truncated_normal, wide

LOG_STABLEMAX_ERROR = 3e-6
"""Bound on |float32 - exact| of a log-probability, for logits in [-1e4, 1e4] (which go to -20)."""


def exact_log_stablemax(logits):
    v = np.asarray(logits, np.float64)
    s = np.where(v >= 0, 1 + np.abs(v), 1 / (1 + np.abs(v)))
    return np.log(s) - np.log(s.sum(axis=-1, keepdims=True))


def exact_gradient(logits, weights):
    """Gradient of sum(weights * log_stablemax(logits)) by the logits, by hand.

    Returns the two terms that it is the difference of: their size is what rounding goes by.
    """
    v = np.asarray(logits, np.float64)
    s = np.where(v >= 0, 1 + np.abs(v), 1 / (1 + np.abs(v)))
    slope = np.where(v >= 0, 1.0, 1 / (1 + np.abs(v)) ** 2)
    return weights * slope / s, weights.sum(-1, keepdims=True) * slope / s.sum(-1, keepdims=True)


def assert_gradient(got, logits, weights):
    plus, minus = exact_gradient(logits, np.asarray(weights, np.float64))
    error = np.abs(np.asarray(got, np.float64) - (plus - minus))
    assert (error <= 1e-6 * (plus + minus)).all(), (error / (plus + minus)).max()


def many_logits():
    draw = np.random.default_rng(0)
    shape = (20_000, 11)
    signs = draw.choice([-1, 1], shape)
    lone_winner = draw.uniform(-1e4, -9e3, shape)
    lone_winner[:, 0] = draw.uniform(9e3, 1e4, shape[0])
    return {
        "ordinary": draw.normal(0, 3, shape),
        "uniform": draw.uniform(-1e4, 1e4, shape),
        "every magnitude": signs * 10 ** draw.uniform(-8, 4, shape),
        "lone winner": lone_winner,
        "around zero and one": draw.choice([0, 1, -1], shape) + draw.normal(0, 1e-6, shape),
        "ends": draw.choice([-1e4, 0, 1e4], shape),
    }


@pytest.mark.parametrize("std", [0.3, 1.0])
def test_truncated_normal_has_the_true_deviation(std):
    draw = np.asarray(truncated_normal(jax.random.key(0), (400, 500), std))
    assert draw.dtype == np.float32
    assert abs(draw.std() / std - 1) < 0.005
    assert abs(draw.mean() / std) < 0.01
    cut = 2 * std / 0.8796256610342398
    assert 0.999 * cut < np.abs(draw).max() <= cut * (1 + 1e-6)


def test_truncated_normal_is_a_function_of_its_key():
    one, again, other = (truncated_normal(jax.random.key(k), (50,), 1.0) for k in (0, 0, 1))
    np.testing.assert_array_equal(one, again)
    assert (one != other).all()
    np.testing.assert_array_equal(truncated_normal(jax.random.key(0), (50,), 0.0), np.zeros(50))


def test_lecun_deviation_follows_the_inputs_not_the_outputs():
    weight = lecun_normal(jax.random.key(0), (64, 4000))
    assert weight.shape == (64, 4000)
    assert abs(float(weight.std()) * 8 - 1) < 0.01


def test_rms_norm_float32():
    x = np.random.default_rng(0).normal(2, 5, (3, 7, 33)).astype(np.float32)
    x[0, 0] = 1e-3  # small enough for epsilon to matter
    h = x.astype(np.float64)
    expected = h / np.sqrt((h**2).mean(-1, keepdims=True) + 1e-5)
    got = rms_norm(x)
    assert got.dtype == jnp.float32
    np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_rms_norm_bfloat16_rounds_only_the_result():
    x = jnp.asarray(np.random.default_rng(0).normal(0, 5, (3, 7, 512)), jnp.bfloat16)
    got = rms_norm(x)
    assert got.dtype == jnp.bfloat16
    in_float32 = rms_norm(x.astype(jnp.float32))
    np.testing.assert_array_equal(got, in_float32.astype(jnp.bfloat16))


def test_rms_norm_of_zeros_and_its_gradient_are_finite():
    zeros = jnp.zeros((2, 8))
    np.testing.assert_array_equal(rms_norm(zeros), zeros)
    gradient = jax.grad(lambda x: jnp.sum(rms_norm(x)))(zeros)
    np.testing.assert_allclose(gradient, np.full((2, 8), 1e-5**-0.5), rtol=1e-6)


def test_sums_are_taken_in_float32_at_least():
    assert wide(jnp.bfloat16) == wide(jnp.float16) == wide(jnp.float32) == jnp.float32
    assert wide(jnp.float64) == jnp.float64


@pytest.mark.parametrize("case", many_logits())
def test_log_stablemax_error_bound(case):
    logits = many_logits()[case].astype(np.float32)
    got = log_stablemax(jnp.asarray(logits))
    assert got.dtype == jnp.float32
    error = np.abs(np.asarray(got, np.float64) - exact_log_stablemax(logits))
    assert error.max() <= LOG_STABLEMAX_ERROR
    np.testing.assert_allclose(np.exp(np.asarray(got, np.float64)).sum(-1), 1, atol=2e-6)


@pytest.mark.parametrize("case", many_logits())
def test_log_stablemax_gradient(case):
    logits = many_logits()[case].astype(np.float32)[:2000]
    weights = np.eye(11, dtype=np.float32)[np.arange(2000) % 11]
    got = jax.grad(lambda v: jnp.sum(weights * log_stablemax(v)))(logits)
    assert_gradient(got, logits, weights)


def test_log_stablemax_gradient_at_the_trap_values():
    """1 / (1 - v) is infinite at v = 1: a plain `where` over it has NaN gradients there."""
    values = np.asarray([1.0, 0.0, -0.0, -1.0, 1e4, -1e4, 1e15, -1e15, 1e30, -1e30], np.float32)
    first = jax.jit(jax.value_and_grad(lambda v: log_stablemax(v)[0]))
    for value in values:
        pair = np.asarray([value, 0.5], np.float32)
        log_p, gradient = first(pair)
        assert np.isfinite(log_p) and np.isfinite(gradient).all(), value
        if np.abs(value) <= 1e15:  # squares beyond leave float32's range
            assert_gradient(gradient, pair, [1, 0])
    together = jax.grad(lambda v: jnp.sum(log_stablemax(v) * jnp.arange(10.0)))(values)
    assert np.isfinite(together).all()
