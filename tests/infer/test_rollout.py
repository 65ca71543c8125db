"""The evaluation rollout: every depth at once, and the same as stepping by hand."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.runs import TINY_MODEL
from trm_jax.core.mesh import ROW_MULTIPLE, make_mesh
from trm_jax.core.types import IGNORE, Batch
from trm_jax.infer import rollout as rollout_module
from trm_jax.infer.perturbation import Perturbation
from trm_jax.infer.rollout import Rollout
from trm_jax.models import act, get_model, puzzle_table
from trm_jax.models.weights import Weights, weight_shardings
from trm_jax.train.gradient import supervise

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


@functools.cache
def program(steps, size=8, devices=1, **options):
    """A rollout of the tests' model, compiled once."""
    return Rollout(MODEL, make_mesh(devices), steps, size, **options)


def roll(inputs, ids, steps):
    return program(steps)(weights(), inputs, ids)


@pytest.fixture(scope="module")
def deep():
    return roll(*questions(3), 6)


def assert_same(got, wanted):
    """The same answers, and halting logits but for rounding."""
    np.testing.assert_array_equal(got.predictions, wanted.predictions)
    np.testing.assert_allclose(got.halt_logits, wanted.halt_logits, atol=1e-4)


def test_shapes(deep):
    assert deep.predictions.shape == (6, 3, 16) and deep.predictions.dtype == np.uint8
    assert deep.halt_logits.shape == (6, 3) and deep.halt_logits.dtype == np.float32
    assert all(isinstance(array, np.ndarray) for array in jax.tree.leaves(deep))
    assert deep.predictions.max() < 6 and deep.confidence is None
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

    sure = program(6, confidence=True)(weights(), inputs, ids)
    assert_same(sure, deep)
    assert sure.confidence.shape == (6, 3, 16) and sure.confidence.dtype == np.float16
    carry = act.empty_carry(CONFIG, weights().initial, 3)
    for depth in range(CONFIG.N):
        assert carry.halted.all() == (depth == 0)
        carry, output, _ = step(carry)
        logits = np.asarray(output.logits, np.float64)
        np.testing.assert_array_equal(logits.argmax(-1), deep.predictions[depth])
        np.testing.assert_allclose(output.halt_logits, deep.halt_logits[depth], atol=1e-4)
        # stable-max: s / sum of s, of each cell's likeliest token
        s = np.where(logits >= 0, logits + 1, 1 / (1 - np.minimum(logits, 0)))
        share = s.max(-1) / s.sum(-1)
        np.testing.assert_allclose(sure.confidence[depth], share, atol=2e-3)
    assert carry.halted.all()
    assert np.ptp(sure.confidence) > 0.1


def many(count):
    """More different questions than a call takes, with rows, and numbers in no order."""
    draw = np.random.default_rng(2)
    inputs = draw.integers(1, 6, (count, 16)).astype(np.uint8)
    ids = draw.integers(0, 3, count)
    return inputs, ids, draw.permutation(count) + 5, draw.integers(0, 9, count)


NOISE = Perturbation(noise=0.5, restart="z", seed=3)


@functools.cache
def one_by_one():
    """Each of 19 questions alone, in a program of one slot; noisy."""
    alone = program(3, size=1, perturbation=NOISE)
    parts = [alone(weights(), *(a[i : i + 1] for a in many(19))) for i in range(19)]
    return jax.tree.map(lambda *a: np.concatenate(a, axis=1), *parts)


@pytest.mark.parametrize("devices", [1, 8])
def test_one_program_answers_any_number_of_questions(monkeypatch, devices):
    """It is traced, and compiled, once; and what fills up its last call is in no answer."""
    wanted, traced, take = one_by_one(), [], rollout_module.take_steps

    def spy(model, params, initial, inputs, *rest):
        traced.append(inputs.shape)
        return take(model, params, initial, inputs, *rest)

    monkeypatch.setattr(rollout_module, "take_steps", spy)
    run = Rollout(MODEL, make_mesh(devices), 3, 7, perturbation=NOISE)
    slots = {1: 7, 8: 8}[devices]
    assert run.batch_size == slots, "rounded up to what the devices can split"
    for count in (1, slots - 1, slots, slots + 1, 2 * slots, 19):
        got = run(weights(), *(a[:count] for a in many(19)))
        assert got.predictions.shape == (3, count, 16) and got.halt_logits.shape == (3, count)
        assert_same(got, jax.tree.map(lambda a, count=count: a[:, :count], wanted))
    assert traced == [(slots, 16)]
    assert run.program._cache_size() == 1


def test_what_fills_up_a_call_is_a_question_that_was_asked(monkeypatch):
    """Not zeros: token 0 is a pad, of which a whole grid is no question."""
    run, seen = program(3), []
    inner = run.program

    def spy(weights, inputs, *rest):
        seen.append(np.asarray(inputs))
        return inner(weights, inputs, *rest)

    monkeypatch.setattr(run, "program", spy)
    inputs, ids, *_ = many(11)
    run(weights(), inputs, ids)
    assert [part.shape for part in seen] == [(8, 16)] * 2
    np.testing.assert_array_equal(np.concatenate(seen)[:11], inputs)
    np.testing.assert_array_equal(seen[1][3:], [inputs[-1]] * 5)


def test_each_puzzle_has_its_own_row_of_the_table(deep):
    inputs, ids = questions(3)
    other = roll(inputs, np.roll(ids, 1), 6)
    assert (np.abs(other.halt_logits - deep.halt_logits).max(axis=0) > 1e-3).all()
    assert_same(program(6)(weights(), inputs), roll(inputs, np.zeros(3, int), 6))


@pytest.mark.parametrize("changed", ["question", "trajectory"])
def test_numbers_of_question_and_trajectory_decide_what_is_random(changed):
    """They, and not the slot, the call or the neighbours."""
    run = program(3, perturbation=NOISE)
    inputs, ids, question, trajectory = many(19)
    given = {"ids": ids, "question": question, "trajectory": trajectory}
    order = np.random.default_rng(3).permutation(19)
    turned = run(weights(), inputs[order], **{k: v[order] for k, v in given.items()})
    assert_same(turned, jax.tree.map(lambda a: a[:, order], one_by_one()))
    other = run(weights(), inputs, **given | {changed: given[changed] + (np.arange(19) < 9)})
    gap = np.abs(other.halt_logits - one_by_one().halt_logits).max(axis=0)
    assert (gap[:9] > 1e-2).all() and (gap[9:] < 1e-4).all()
    none = run(weights(), inputs, **{k: v for k, v in given.items() if k != changed})
    assert_same(none, run(weights(), inputs, **given | {changed: np.zeros(19, int)}))


@pytest.mark.parametrize("devices", [2, 8])
def test_a_table_split_over_devices_gives_each_question_its_row(devices):
    """1024 rows, so that they lie on different devices than the questions that need them."""
    draw = np.random.default_rng(4)
    table = draw.normal(size=(ROW_MULTIPLE, CONFIG.table_width)).astype(np.float32)
    whole = weights().replace(table=table)
    inputs, ids = many(19)[0], draw.permutation(ROW_MULTIPLE)[:19]
    mesh = make_mesh(devices)
    split = jax.device_put(whole, weight_shardings(mesh, whole))
    got = program(3, devices=devices)(split, inputs, ids)
    assert_same(got, program(3)(whole, inputs, ids))
    assert_same(got, program(3)(whole.replace(table=table[ids]), inputs, np.arange(19)))
