"""Muon on the blocks' matrices and AdamW on the rest, against NumPy; clipping; a late average."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from tests.runs import TINY_MODEL
from tests.train.test_optim import TOTAL, rate_by_hand, trees_close
from trm_jax.config.experiment import OptimizerConfig
from trm_jax.core.errors import UserError
from trm_jax.models import get_model
from trm_jax.train.optim import dense_optimizer, ema_decay, optimizer_groups

CONFIG = OptimizerConfig(
    name="muon", lr=1e-2, warmup=4, lr_min_ratio=0.0, weight_decay=0.1, muon_weight_decay=0.3
)
SHAPES = {
    "network": {"block_0": {"mlp": {"gate_up": (4, 12), "down": (6, 4)}, "gain": (4,)}},
    "answer_head": {"kernel": (4, 5)},
}
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)


def draw(seed):
    rng = np.random.default_rng(seed)
    shapes, tree = jax.tree.flatten(SHAPES, is_leaf=lambda s: isinstance(s, tuple))
    return jax.tree.unflatten(tree, [rng.normal(size=s).astype(np.float32) for s in shapes])


def run(config, steps, gradients=draw):
    """Parameters after so many updates; `gradients(seed)` is of update seed - 1."""
    optimizer, params = dense_optimizer(config, TOTAL), draw(0)
    state = optimizer.init(params)
    with jax.numpy_dtype_promotion("standard"):  # optax is not clean under strict
        update = jax.jit(optimizer.update)
        for step in range(steps):
            updates, state = update(gradients(step + 1), state, params)
            params = optax.apply_updates(params, updates)
    return params


def orthogonal(matrix):
    """The five steps of the post that proposed Muon."""
    a, b, c = NEWTON_SCHULZ
    wide = matrix.shape[0] <= matrix.shape[1]
    x = matrix if wide else matrix.T
    x = x / np.linalg.norm(x)
    for _ in range(5):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return x if wide else x.T


def muon_by_hand(steps, where):
    def at(tree):
        return np.asarray(tree["network"]["block_0"]["mlp"][where], np.float64)

    p, momentum, beta = at(draw(0)), 0.0, CONFIG.muon_momentum
    inputs, outputs = p.shape
    for t in range(1, steps + 1):
        g = at(draw(t))
        momentum = beta * momentum + (1 - beta) * g
        ahead = beta * momentum / (1 - beta ** (t + 1)) + (1 - beta) * g / (1 - beta**t)
        lr = rate_by_hand(t, CONFIG, TOTAL) / CONFIG.lr * CONFIG.muon_lr
        scale = np.sqrt(max(1, outputs / inputs))
        p = p * (1 - lr * CONFIG.muon_weight_decay) - lr * scale * orthogonal(ahead)
    return p


def test_matrices_of_the_blocks_by_hand():
    """One wide and one high: only the wide one's steps are made larger."""
    got = run(CONFIG, 8)["network"]["block_0"]["mlp"]
    for where in ("gate_up", "down"):
        np.testing.assert_allclose(got[where], muon_by_hand(8, where), atol=1e-5)


def test_the_rest_is_adamw():
    got, plain = run(CONFIG, 8), run(dataclasses.replace(CONFIG, name="adamw"), 8)
    trees_close(got["answer_head"], plain["answer_head"], atol=1e-7)
    gains = [tree["network"]["block_0"]["gain"] for tree in (got, plain)]
    np.testing.assert_allclose(*gains, atol=1e-7)


@pytest.mark.parametrize(
    ("mixer", "matrices", "changes"),
    [
        ("mlp", 4, {"positions": "learned"}),
        ("attention", 4, {"positions": "learned"}),
        ("digits", 5, {"prefix_tokens": 0}),
    ],
)
def test_groups_of_a_model(mixer, matrices, changes):
    config = dataclasses.replace(TINY_MODEL, mixer=mixer, **changes)
    params = jax.eval_shape(get_model(config).init, jax.random.key(0))
    groups = optimizer_groups(params)
    inside = groups.pop("network")
    assert set(jax.tree.leaves(inside)) == {"muon"}
    assert len(jax.tree.leaves(inside)) == matrices * config.layers
    assert set(jax.tree.leaves(groups)) == {"adamw"}


def test_kernels_are_inputs_by_outputs():
    """Of the token mixing too, whose kernel is used transposed."""
    shapes = jax.eval_shape(get_model(TINY_MODEL).init, jax.random.key(0))
    mixing = shapes["network"]["block_0"]["token_mlp"]
    assert mixing["gate_up"]["kernel"].shape[0] == TINY_MODEL.tokens
    assert mixing["down"]["kernel"].shape[1] == TINY_MODEL.tokens


@pytest.mark.parametrize("name", ["adam_atan2", "adamw", "muon"])
def test_clipping_by_hand(name):
    """The same as gradients that were scaled down before, each update's by its own norm."""

    def growing(step):
        return jax.tree.map(lambda g: np.float32(10.0 ** (step - 3)) * g, draw(step))

    def scaled(step):
        raw = growing(step)
        norm = np.sqrt(sum(np.sum(np.square(g)) for g in jax.tree.leaves(raw)))
        return jax.tree.map(lambda g: np.float32(min(1, 2 / norm)) * g, raw)

    config = dataclasses.replace(CONFIG, name=name, clip=0.0)
    got = run(dataclasses.replace(config, clip=2.0), 4, growing)
    trees_close(got, run(config, 4, scaled), atol=1e-6)
    free = run(config, 4, growing)
    apart = jax.tree.map(lambda a, b: np.abs(a - b).max(), got, free)
    assert max(jax.tree.leaves(apart)) > 1e-3


def test_the_average_starts_late():
    config = OptimizerConfig(ema=0.9, ema_start=3)
    decays = [float(ema_decay(config, jnp.int32(done))) for done in range(5)]
    np.testing.assert_allclose(decays, [0, 0, 0, 0.9, 0.9], rtol=1e-6)
    assert ema_decay(OptimizerConfig(ema=0.9), jnp.int32(0)) == 0.9


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("muon_lr", 0.0),
        ("muon_momentum", 1.0),
        ("muon_weight_decay", -0.1),
        ("clip", -1.0),
        ("ema_start", -1),
        ("name", "moun"),
    ],
)
def test_senseless_settings_are_refused(key, value):
    with pytest.raises(UserError, match=rf"config\.optimizer\.{key} is .*(must|choose)"):
        OptimizerConfig(**{key: value})
