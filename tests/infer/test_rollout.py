"""The evaluation rollout: every depth at once, and the same as stepping by hand."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.runs import TINY_MODEL
from trm_jax.core.mesh import make_mesh
from trm_jax.core.types import IGNORE, Batch
from trm_jax.infer.rollout import rollout
from trm_jax.models import act, get_model, puzzle_table
from trm_jax.train.gradient import supervise
from trm_jax.models.weights import Weights

CONFIG = dataclasses.replace(TINY_MODEL, N=4)
MODEL = get_model(CONFIG)


@functools.cache
def weights():
    """Random everywhere: a fresh halting head says the same of everything."""
    shapes = jax.eval_shape(MODEL.init, jax.random.key(0))
    draw = np.random.default_rng(0)
    params = jax.tree.map(
        lambda s: (draw.normal(size=s.shape) * s.shape[0] ** -0.5).astype(s.dtype), shapes
    )
    return Weights(
        params=params,
        table=draw.normal(size=(3, CONFIG.table_width)).astype(np.float32),
        initial=tuple(draw.normal(size=CONFIG.width).astype(np.float32) for _ in "yz"),
    )


def questions(count):
    draw = np.random.default_rng(1)
    inputs = draw.integers(1, 6, (8, 16)).astype(np.int32)
    return inputs[:count], np.asarray([0, 1, 2, 0, 1, 2, 0, 1], np.int32)[:count]


@functools.partial(jax.jit, static_argnums=2)
def roll(inputs, ids, steps):
    return rollout(MODEL, weights(), inputs, ids, steps, make_mesh(1))


@pytest.fixture(scope="module")
def deep():
    return roll(*questions(3), 6)


def test_shapes(deep):
    assert deep.predictions.shape == (6, 3, 16) and deep.predictions.dtype == jnp.uint8
    assert deep.halt_logits.shape == (6, 3) and deep.halt_logits.dtype == jnp.float32
    assert deep.predictions.max() < 6
    assert (deep.predictions[0] != deep.predictions[5]).any()


def test_each_depth_is_where_a_shorter_rollout_ends(deep):
    shorter = roll(*questions(3), 3)
    np.testing.assert_array_equal(shorter.predictions, deep.predictions[:3])
    np.testing.assert_allclose(shorter.halt_logits, deep.halt_logits[:3], atol=1e-4)


def test_equals_supervision_steps_with_evaluation_halting(deep):
    inputs, ids = questions(3)
    batch = Batch(inputs=inputs, labels=np.full_like(inputs, IGNORE), ids=ids)

    @jax.jit
    def step(carry):
        carry = act.refill(carry, batch, weights().initial)
        rows = puzzle_table.lookup(jnp.asarray(weights().table), carry.batch.ids, make_mesh(1))
        return supervise(weights().params, rows, carry, MODEL, None)[1]

    carry = act.empty_carry(CONFIG, weights().initial, 3)
    for depth in range(CONFIG.N):
        assert carry.halted.all() == (depth == 0)
        carry, output, _ = step(carry)
        np.testing.assert_array_equal(output.logits.argmax(-1), deep.predictions[depth])
        np.testing.assert_allclose(output.halt_logits, deep.halt_logits[depth], atol=1e-4)
    assert carry.halted.all()


def test_padding_a_batch_does_not_change_its_examples(deep):
    inputs, ids = questions(3)
    padded = np.zeros((8, 16), np.int32)
    padded[:3] = inputs
    padded_ids = np.zeros(8, np.int32)
    padded_ids[:3] = ids
    got = roll(padded, padded_ids, 6)
    np.testing.assert_array_equal(got.predictions[:, :3], deep.predictions)
    np.testing.assert_allclose(got.halt_logits[:, :3], deep.halt_logits, atol=1e-4)


def test_each_puzzle_has_its_own_row_of_the_table(deep):
    inputs, ids = questions(3)
    other = roll(inputs, np.roll(ids, 1), 6)
    assert (np.abs(other.halt_logits - deep.halt_logits).max(axis=0) > 1e-3).all()
