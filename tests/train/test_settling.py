"""Damped and noisy updates, and random starts: by hand, and none of it in evaluation."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.infer.test_rollout import questions, weights
from tests.runs import TINY_MODEL
from trm_jax.core.errors import UserError
from trm_jax.core.mesh import make_mesh
from trm_jax.infer.halting import Entries, Halt, answer_queue
from trm_jax.infer.rollout import Rollout
from trm_jax.models import MIXERS, act, get_model
from trm_jax.models.recursion import (
    Depth,
    Networks,
    Noise,
    direct_prediction,
    last_recursion,
    last_updates,
    latent_recursion,
    multi_scale_recursion,
    single_pass,
    single_recursion,
)

D = 0.25
SHAPE = (3, 5, 4)


def halve(h):
    return 0.5 * h - 1


NETS = Networks(halve, halve)


def states(count):
    rng = np.random.default_rng(0)
    return tuple(rng.normal(size=SHAPE).astype(np.float32) for _ in range(count))


def mixed(old, h):
    return D * old + (1 - D) * halve(h)


def latent_by_hand(y, z, x, n):
    for _ in range(n):
        z = mixed(z, z + y + x)
    return mixed(y, y + z), z


@pytest.mark.parametrize("unroll", [True, False])
def test_damped_recursions_by_hand(unroll):
    x, y, z, other = states(4)
    depth = Depth(1, 2, unroll, damping=D)
    got = latent_recursion(NETS, (y, z), x, depth)
    for a, b in zip(got, latent_by_hand(y, z, x, 2), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    once = mixed(z, z + x)
    twice = mixed(once, once + x)
    (got,) = single_recursion(NETS, (z,), x, depth)
    np.testing.assert_allclose(got, mixed(twice, twice), rtol=1e-5, atol=1e-6)
    first = mixed(z, z + other + y + x)
    second = mixed(other, first + other + y + x)
    for a, b in zip(
        multi_scale_recursion(NETS, (y, z, other), x, depth),
        (mixed(y, y + first + second), first, second),
        strict=True,
    ):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    (got,) = direct_prediction(NETS, (y,), x, depth)
    np.testing.assert_allclose(got, mixed(y, y + x), rtol=1e-6)


@pytest.mark.parametrize("gradient", [last_recursion, last_updates])
def test_damping_in_every_recursion(gradient):
    x, y, z = states(3)
    got = gradient(latent_recursion, NETS, NETS, (y, z), x, Depth(3, 2, False, damping=D))
    for _ in range(3):
        y, z = latent_by_hand(y, z, x, 2)
    for a, b in zip(got, (y, z), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def keys(*slots):
    return jax.random.split(jax.random.key(7), 8)[np.asarray(slots)]


def test_noise_is_each_slots_own_in_any_layout():
    zeros = jnp.zeros((4, 200, 30))
    drawn = Noise(0.3, keys(0, 1, 2, 3), axis=0).add(zeros)
    assert np.std(drawn) == pytest.approx(0.3, rel=0.02) and abs(np.mean(drawn)) < 0.01
    assert len({float(slot[0, 0]) for slot in drawn}) == 4
    turned = Noise(0.3, keys(3, 1), axis=1).add(jnp.zeros((200, 2, 30)))
    np.testing.assert_array_equal(turned[:, 0], drawn[3])
    np.testing.assert_array_equal(turned[:, 1], drawn[1])
    assert Noise(0.3, keys(0), 0).add(jnp.zeros((1, 2, 3), jnp.bfloat16)).dtype == jnp.bfloat16


@pytest.mark.parametrize(
    ("gradient", "recursion", "count", "updates"),
    [
        (last_recursion, latent_recursion, 2, 9),
        (last_updates, latent_recursion, 2, 9),
        (last_recursion, single_recursion, 1, 9),
        (last_recursion, multi_scale_recursion, 3, 9),
        (single_pass, direct_prediction, 1, 1),
    ],
)
@pytest.mark.parametrize("unroll", [True, False])
def test_every_update_has_noise_of_its_own(
    monkeypatch, gradient, recursion, count, updates, unroll
):
    """T = 3, n = 2: nine updates, each with another key."""
    seen = []

    def spy(self, h):
        jax.debug.callback(lambda k: seen.append(k.tolist()), jax.random.key_data(self.keys))
        return h

    monkeypatch.setattr(Noise, "add", spy)
    depth = Depth(3, 2, unroll, noise=Noise(1.0, keys(0, 1, 2), axis=0))
    x, *latents = states(count + 1)
    jax.block_until_ready(gradient(recursion, NETS, NETS, tuple(latents), x, depth))
    jax.effects_barrier()
    assert len(seen) == updates
    assert len({tuple(key) for slots in seen for key in slots}) == 3 * updates


NOISY = dataclasses.replace(TINY_MODEL, noise=0.1, damping=0.1, start="random", N=4)


@functools.partial(jax.jit, static_argnums=0)
def step(config, latents, noise_keys):
    inputs, _ = questions(len(latents[0]))
    rows = jnp.zeros((len(inputs), config.table_width))
    params = weights().params
    return get_model(config).supervision_step(params, latents, inputs, rows, noise_keys)[0]


@pytest.mark.parametrize("mixer", ["mlp", "attention", "digits"])
def test_the_layout_says_where_slots_lie(mixer):
    config = dataclasses.replace(TINY_MODEL, mixer=mixer, prefix_tokens=0)
    used = MIXERS.get(mixer)
    shape = used.swap(jnp.zeros((3, config.tokens, config.width))).shape
    assert shape[used.slots_axis] == 3


def asked(slots):
    """Questions, of which only the number matters."""
    return jnp.zeros((slots, TINY_MODEL.cells), jnp.int32)


def test_noise_is_for_training_alone():
    latents = get_model(NOISY).start(weights().initial, asked(3))
    quiet = dataclasses.replace(NOISY, noise=0.0)
    for a, b in zip(step(NOISY, latents, None), step(quiet, latents, None), strict=True):
        np.testing.assert_array_equal(a, b)
    noisy = step(NOISY, latents, keys(0, 1, 2))
    assert np.abs(noisy[0] - step(quiet, latents, None)[0]).max() > 0.01
    fewer = step(NOISY, tuple(a[1:] for a in latents), keys(1, 2))
    assert fewer[0].shape[0] == 2
    drawn = act.explore(NOISY, 3, jax.random.key(0))
    assert drawn.noise_keys.shape == (3,)
    assert act.explore(quiet, 3, jax.random.key(0)).noise_keys is None


def test_random_starts_are_each_slots_own():
    initial = weights().initial
    few, many = (act.draw_start(NOISY, initial, slots, jax.random.key(1)) for slots in (2, 64))
    assert [a.shape for a in many] == [(64, NOISY.tokens, NOISY.width)] * 2
    for a, b in zip(few, many, strict=True):
        np.testing.assert_array_equal(a, b[:2])
        assert np.std(b) == pytest.approx(1, rel=0.02) and np.abs(b).max() < 2 / 0.8796
    assert (np.asarray(many[0]) != np.asarray(many[1])).all()
    assert len(np.unique(np.asarray(many[0])[:, 0, 0])) == 64
    other = act.draw_start(NOISY, initial, 2, jax.random.key(2))
    assert (np.asarray(other[0]) != np.asarray(few[0])).all()
    assert act.draw_start(TINY_MODEL, initial, 2, jax.random.key(1)) is initial


def test_only_new_examples_start_at_random():
    initial = weights().initial
    carry = act.empty_carry(NOISY, initial, 3).replace(halted=np.asarray([True, False, True]))
    start = act.draw_start(NOISY, initial, 3, jax.random.key(1))
    filled = act.refill(carry, carry.batch, start)
    for got, new in zip(filled.latents, start, strict=True):
        np.testing.assert_array_equal(got[0], new[0])
        np.testing.assert_array_equal(got[1], np.zeros_like(new[1]))
        np.testing.assert_array_equal(got[2], new[2])


def test_evaluation_starts_from_one_draw():
    """Whatever the initial vectors, the example and the size of the batch."""
    model, initial = get_model(NOISY), weights().initial
    few, many = (model.start(initial, asked(slots)) for slots in (1, 5))
    others = model.start(tuple(v + 1 for v in initial), asked(5))
    for a, b, c in zip(few, many, others, strict=True):
        np.testing.assert_array_equal(np.broadcast_to(a, b.shape), b)
        np.testing.assert_array_equal(b, c)
        assert len(np.unique(np.asarray(a))) == a.size
    assert not np.array_equal(few[0], few[1])
    fixed = get_model(TINY_MODEL).start(initial, asked(2))
    for vector, latent in zip(initial, fixed, strict=True):
        np.testing.assert_array_equal(latent, np.broadcast_to(vector, latent.shape))


def test_refilled_slots_start_from_it_too():
    model, mesh = get_model(NOISY), make_mesh(1)
    inputs, ids = questions(5)
    state = jax.tree.map(jnp.asarray, weights())
    path = Rollout(model, mesh, 3, 5)(state, inputs, ids)
    halt = Halt(max_steps=3, threshold=0.9999999)
    queue = functools.partial(answer_queue, model, slots=2, halt=halt, mesh=mesh)
    numbers = np.arange(5, dtype=np.int32)
    entries = Entries(inputs, ids, numbers, numbers * 0, numbers)
    got = jax.jit(queue)(state, entries, jnp.int32(5))
    np.testing.assert_array_equal(got.steps, np.full(5, 3))
    np.testing.assert_array_equal(got.answers, path.predictions[-1])
    np.testing.assert_allclose(got.halt_logits, path.halt_logits[-1], atol=1e-4)


@pytest.mark.parametrize(
    ("key", "value"),
    [("damping", 1.0), ("damping", -0.1), ("noise", -1.0), ("start", "zero"), ("gate", "relu")],
)
def test_senseless_settings_are_refused(key, value):
    with pytest.raises(UserError, match=rf"config\.model\.{key} is .*(must|choose)"):
        dataclasses.replace(TINY_MODEL, **{key: value})
