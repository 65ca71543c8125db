"""The masked carry: who is refilled, who goes on, who stops."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from trm_jax.core.mesh import make_mesh, over_slots
from trm_jax.core.types import Batch, Carry
from trm_jax.models.act import empty_carry, eval_halt, explore, refill, train_halt
from trm_jax.models.settings import ModelConfig

CONFIG = ModelConfig(vocab=6, cells=4, width=8, heads=2, N=4, prefix_tokens=1, dtype="bfloat16")
SLOTS = 6
MANY = 40_000


def some_batch(seed):
    draw = np.random.default_rng(seed)
    return Batch(
        inputs=draw.integers(0, 6, (SLOTS, 4)).astype(np.int32),
        labels=draw.integers(0, 6, (SLOTS, 4)).astype(np.int32),
        ids=draw.integers(0, 1000, SLOTS).astype(np.int32),
    )


def some_initial():
    draw = np.random.default_rng(7)
    return tuple(draw.normal(size=8).astype(np.float32) for _ in "yz")


def some_carry(halted):
    draw = np.random.default_rng(8)
    shape = (SLOTS, CONFIG.tokens, CONFIG.width)
    return Carry(
        latents=tuple(jnp.asarray(draw.normal(size=shape), jnp.bfloat16) for _ in "yz"),
        steps=jnp.arange(1, SLOTS + 1, dtype=jnp.int32),
        halted=jnp.asarray(halted),
        batch=jax.tree.map(jnp.asarray, some_batch(1)),
    )


def fill(carry):
    return jax.jit(refill)(carry, some_batch(2), some_initial())


def check_fresh(carry, slots):
    """The slots hold the incoming example, the initial vectors at every token, and no steps."""
    incoming = some_batch(2)
    for new, taken in zip(jax.tree.leaves(incoming), jax.tree.leaves(carry.batch), strict=True):
        np.testing.assert_array_equal(taken[slots], new[slots])
    for vector, latent in zip(some_initial(), carry.latents, strict=True):
        assert latent.dtype == jnp.bfloat16
        rounded = np.asarray(vector).astype(jnp.bfloat16)
        shape = (len(slots), CONFIG.tokens, CONFIG.width)
        np.testing.assert_array_equal(latent[slots], np.broadcast_to(rounded, shape))
    assert not carry.steps[slots].any()


def test_every_slot_fills_at_the_first_step():
    carry = empty_carry(CONFIG, some_initial(), SLOTS)
    assert carry.halted.all()
    assert [a.shape for a in carry.latents] == [(SLOTS, CONFIG.tokens, CONFIG.width)] * 2
    check_fresh(fill(carry), np.arange(SLOTS))


def test_an_empty_carry_shares_no_buffers():
    leaves = jax.tree.leaves(empty_carry(CONFIG, some_initial(), SLOTS))
    assert len({leaf.unsafe_buffer_pointer() for leaf in leaves}) == len(leaves)


def test_only_halted_slots_are_refilled():
    halted = np.asarray([True, False, False, True, False, True])
    before = some_carry(halted)
    after = fill(before)
    check_fresh(after, np.flatnonzero(halted))
    busy = np.flatnonzero(~halted)
    np.testing.assert_array_equal(after.halted, halted)
    for old, new in zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True):
        assert old.dtype == new.dtype and old.shape == new.shape
        np.testing.assert_array_equal(old[busy], new[busy])


def halt(config, steps, wants, seed=0):
    drawn = explore(config, len(steps), jax.random.key(seed))
    return np.asarray(train_halt(config, steps, wants, drawn))


def many(value, dtype=np.int32):
    return np.full(MANY, value, dtype)


def test_every_slot_stops_at_n_steps():
    assert halt(CONFIG, many(4), many(False, bool)).all()
    assert halt(CONFIG, many(5), many(False, bool)).all()


def test_a_slot_that_is_not_sure_goes_on():
    for steps in (1, 2, 3):
        assert not halt(CONFIG, many(steps), many(False, bool)).any()


def test_without_exploration_a_slot_that_is_sure_stops_at_once():
    config = dataclasses.replace(CONFIG, halt_exploration=0.0)
    wants = np.arange(MANY) % 3 == 0
    np.testing.assert_array_equal(halt(config, many(1), wants), wants)


@pytest.mark.parametrize("exploration", [0.1, 1.0])
@pytest.mark.parametrize("steps", [1, 2, 3, 4])
def test_explorers_reach_a_uniform_minimum_of_two_to_n(exploration, steps):
    """With N = 4 a sure explorer stops at 1, 2, 3, 4 steps with chance 0, 1/3, 2/3, 1."""
    config = dataclasses.replace(CONFIG, halt_exploration=exploration)
    share = halt(config, many(steps), many(True, bool)).mean()
    expected = 1 - exploration + exploration * (steps - 1) / 3
    deviation = np.sqrt(expected * (1 - expected) / MANY)
    assert abs(share - expected) <= 4 * deviation


@pytest.mark.parametrize("N", [1, 2])
def test_small_n(N):
    config = dataclasses.replace(CONFIG, N=N, halt_exploration=1.0)
    assert halt(config, many(1), many(False, bool)).all() == (N == 1)
    assert halt(config, many(1), many(True, bool)).all() == (N == 1)
    assert halt(config, many(N), many(False, bool)).all()


def test_exploration_is_drawn_from_the_key():
    config = dataclasses.replace(CONFIG, halt_exploration=0.5)
    one, same, other = (halt(config, many(2), many(True, bool), seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, same)
    assert 0.1 < (one != other).mean() < 0.9


def test_exploration_is_the_same_on_any_mesh():
    config = dataclasses.replace(CONFIG, halt_exploration=0.5)
    steps, wants = many(2)[:4096], many(True, bool)[:4096]
    results = []
    for devices in (1, 8):
        slots = over_slots(make_mesh(devices))

        @functools.partial(jax.jit, out_shardings=slots)
        def stop(steps, wants, key):
            return train_halt(config, steps, wants, explore(config, 4096, key))

        halted = stop(*jax.device_put((steps, wants), slots), jax.random.key(3))
        assert len(halted.sharding.device_set) == devices
        results.append(np.asarray(halted))
    assert 0.1 < results[0].mean() < 0.9
    np.testing.assert_array_equal(*results)


def test_in_evaluation_everyone_takes_n_steps():
    np.testing.assert_array_equal(eval_halt(CONFIG, jnp.asarray([1, 3, 4, 5])), [0, 0, 1, 1])
