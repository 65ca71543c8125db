"""Optimizers against a plain NumPy loop."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from trm_jax.config.experiment import OptimizerConfig
from trm_jax.train.optim import dense_optimizer, ema_update, scale_by_adam_atan2, schedule

CONFIG = OptimizerConfig(lr=1e-2, warmup=4, weight_decay=0.1, b1=0.9, b2=0.95)
TOTAL = 20


def some_params():
    draw = np.random.default_rng(0)
    shapes = {"kernel": (3, 4), "bias": (4,), "tokens": (5, 2)}
    return {key: draw.normal(size=shape).astype(np.float32) for key, shape in shapes.items()}


def some_gradients(step):
    draw = np.random.default_rng(100 + step)
    return {key: draw.normal(size=p.shape).astype(np.float32) for key, p in some_params().items()}


def run(optimizer, steps, gradients=some_gradients, scale=1.0):
    params = some_params()
    state = optimizer.init(params)
    update = jax.jit(optimizer.update)
    for step in range(steps):
        scaled = jax.tree.map(lambda g: (scale * g).astype(np.float32), gradients(step))
        with jax.numpy_dtype_promotion("standard"):  # optax's Adam is not clean under strict
            updates, state = update(scaled, state, params)
        params = optax.apply_updates(params, updates)
    return params


def rate_by_hand(number, config, total):
    """Learning rate of update 1, 2, ..."""
    if number < config.warmup:
        return config.lr * number / config.warmup
    progress = (number - config.warmup) / (total - config.warmup)
    cosine = 0.5 * (1 + math.cos(math.pi * progress))
    return config.lr * (config.lr_min_ratio + (1 - config.lr_min_ratio) * cosine)


def numpy_adam_atan2(steps, config, correction_inside=False):
    params = {key: p.astype(np.float64) for key, p in some_params().items()}
    m, v = ({key: np.zeros_like(p) for key, p in params.items()} for _ in range(2))
    for t in range(1, steps + 1):
        lr = rate_by_hand(t, config, TOTAL)
        for key, g in some_gradients(t - 1).items():
            m[key] = config.b1 * m[key] + (1 - config.b1) * g
            v[key] = config.b2 * v[key] + (1 - config.b2) * g.astype(np.float64) ** 2
            root = np.sqrt(v[key]) / np.sqrt(1 - config.b2**t)
            if correction_inside:
                direction = np.arctan2(m[key] / (1 - config.b1**t), root)
            else:
                direction = np.arctan2(m[key], root) / (1 - config.b1**t)
            params[key] = params[key] * (1 - lr * config.weight_decay) - lr * direction
    return params


def trees_close(actual, expected, **tolerance):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **tolerance), actual, expected)


@pytest.mark.parametrize("ratio", [1.0, 0.1, 0.0])
def test_schedule(ratio):
    config = OptimizerConfig(lr=3.0, warmup=10, lr_min_ratio=ratio)
    rate = schedule(2.0, config, 110)
    rates = {number: float(rate(jnp.int32(number - 1))) for number in (1, 5, 10, 11, 60, 110)}
    assert rates[1] == pytest.approx(0.2)
    assert rates[5] == pytest.approx(1.0)
    assert rates[10] == pytest.approx(2.0)
    drop = (1 - ratio) * (1 - math.cos(math.pi / 100)) / 2
    assert rates[11] == pytest.approx(2 * (1 - drop), rel=1e-6)
    assert rates[60] == pytest.approx(1 + ratio)
    assert rates[110] == pytest.approx(2 * ratio, abs=1e-6)
    assert float(rate(jnp.int32(500))) == pytest.approx(2 * ratio, abs=1e-6)


def test_schedule_without_warm_up_and_within_one():
    assert float(schedule(2.0, OptimizerConfig(warmup=0), 10)(jnp.int32(0))) == 2
    short = schedule(2.0, OptimizerConfig(warmup=100), 10)
    np.testing.assert_allclose(
        [short(jnp.int32(i)) for i in range(3)], [0.02, 0.04, 0.06], rtol=1e-6
    )


@pytest.mark.parametrize("name", ["adam_atan2", "adamw"])
def test_decay_is_decoupled_on_every_leaf_and_follows_the_schedule(name):
    """Without gradients nothing but decay is left: it must not be stuck at step 0 either."""
    config = OptimizerConfig(name=name, lr=0.1, warmup=4, weight_decay=0.5, lr_min_ratio=0.2)
    no_gradients = {key: np.zeros_like(p) for key, p in some_params().items()}
    got = run(dense_optimizer(config, TOTAL), 12, lambda step: no_gradients)
    shrunk = math.prod(1 - 0.5 * rate_by_hand(t, config, TOTAL) for t in range(1, 13))
    assert shrunk < 0.8
    trees_close(got, jax.tree.map(lambda p: shrunk * p, some_params()), rtol=1e-5)


@pytest.mark.parametrize("ratio", [1.0, 0.1])
def test_adam_atan2_is_the_plain_loop(ratio):
    config = OptimizerConfig(lr=1e-2, warmup=4, weight_decay=0.1, lr_min_ratio=ratio)
    got = run(dense_optimizer(config, TOTAL), 8)
    trees_close(got, numpy_adam_atan2(8, config), atol=1e-6)
    inside = numpy_adam_atan2(8, config, correction_inside=True)
    assert max(np.abs(got[key] - inside[key]).max() for key in got) > 1e-3


def test_adam_atan2_ignores_the_scale_of_gradients():
    optimizer = dense_optimizer(CONFIG, TOTAL)
    plain = run(optimizer, 5)
    for scale in (1e-6, 1e6):
        trees_close(run(optimizer, 5, scale=scale), plain, atol=1e-6)


def test_adam_atan2_of_a_zero_gradient_is_zero():
    transform = scale_by_adam_atan2(0.9, 0.95)
    zeros = {"w": jnp.zeros(3)}
    updates, _ = transform.update(zeros, transform.init(zeros))
    np.testing.assert_array_equal(updates["w"], np.zeros(3))


def test_adamw_is_that_of_optax():
    config = OptimizerConfig(name="adamw", lr=1e-2, warmup=4, weight_decay=0.1, lr_min_ratio=0.1)
    rates = optax.join_schedules(
        [
            lambda count: config.lr * (count + 1) / config.warmup,
            optax.cosine_decay_schedule(config.lr, TOTAL - config.warmup, alpha=0.1),
        ],
        [config.warmup - 1],
    )
    theirs = optax.adamw(rates, b1=0.9, b2=0.95, weight_decay=0.1)
    trees_close(run(dense_optimizer(config, TOTAL), 8), run(theirs, 8), atol=1e-6)


def test_moving_average_by_hand():
    average = {"a": jnp.asarray([1.0, 2.0]), "b": [jnp.asarray(4.0)]}
    new = {"a": jnp.asarray([2.0, 0.0]), "b": [jnp.asarray(0.0)]}
    got = ema_update(average, new, 0.75)
    trees_close(got, {"a": [1.25, 1.5], "b": [3.0]}, rtol=1e-7)
    trees_close(ema_update(average, new, 0.0), new, rtol=0)
