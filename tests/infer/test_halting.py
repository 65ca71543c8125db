"""Halting with refill: the answers of a fixed rollout, at the first confident step of each."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.infer.test_rollout import MODEL, questions, roll, weights
from trm_jax.core.errors import UserError
from trm_jax.core.mesh import make_mesh
from trm_jax.infer.halting import Entries, Halt, answer_queue

DEPTH = 6


def queue(count, slots, halt, devices=1, padded=None):
    """`count` questions, the eight of the rollout tests over and over."""
    inputs, ids = (np.concatenate([part] * 4) for part in questions(8))
    size = padded or count
    run = jax.jit(
        functools.partial(answer_queue, MODEL, slots=slots, halt=halt, mesh=make_mesh(devices))
    )
    state = jax.tree.map(jnp.asarray, weights())
    numbers = np.arange(size, dtype=np.int32)
    entries = Entries(inputs[:size], ids[:size], numbers, numbers * 0, numbers)
    return jax.device_get(run(state, entries, jnp.int32(count)))


@functools.cache
def fixed():
    path = roll(*questions(8), DEPTH)
    return path.predictions, path.halt_logits


def by_hand(question, halt):
    """The step at which a question of the fixed rollout would have been taken."""
    answers, logits = (part[:, question % 8] for part in fixed())
    sure = 1 / (1 + np.exp(-logits.astype(np.float64))) > halt.threshold
    for step in range(halt.max_steps):
        row = answers[max(step + 1 - halt.patience, 0) : step + 1]
        steady = len(row) == halt.patience and (row == row[0]).all()
        if (sure[step] and steady and step + 1 >= halt.min_steps) or step + 1 == halt.max_steps:
            return step + 1
    raise AssertionError


MIDDLE = float(1 / (1 + np.exp(-np.median(fixed()[1]))))


@pytest.mark.parametrize(
    "halt",
    [
        Halt(max_steps=DEPTH, threshold=1.0),
        Halt(max_steps=DEPTH, threshold=MIDDLE),
        Halt(max_steps=DEPTH, threshold=MIDDLE, min_steps=3),
        Halt(max_steps=DEPTH, threshold=1e-6, patience=2),
        Halt(max_steps=DEPTH, threshold=1e-6),
    ],
    ids=["never", "median", "least", "patience", "at once"],
)
@pytest.mark.parametrize(("count", "slots"), [(5, 8), (8, 4), (29, 4)])
def test_each_question_is_answered_as_by_hand(halt, count, slots):
    got = queue(count, slots, halt)
    steps = [by_hand(i, halt) for i in range(count)]
    np.testing.assert_array_equal(got.steps, steps)
    assert got.work == sum(steps)
    for i, step in enumerate(steps):
        np.testing.assert_array_equal(got.answers[i], fixed()[0][step - 1, i % 8])
        np.testing.assert_allclose(got.halt_logits[i], fixed()[1][step - 1, i % 8], atol=1e-4)


def test_slots_are_refilled_so_that_few_rounds_do():
    halt = Halt(max_steps=DEPTH, threshold=MIDDLE)
    got = queue(29, 4, halt)
    work = int(got.steps.sum())
    assert work / 4 <= got.rounds <= work / 4 + DEPTH
    assert got.rounds < 0.9 * DEPTH * np.ceil(29 / 4)


def test_questions_behind_the_count_are_not_asked():
    got = queue(5, 4, Halt(max_steps=DEPTH, threshold=MIDDLE), padded=12)
    assert not got.steps[5:].any() and not got.answers[5:].any() and got.steps[:5].all()
    np.testing.assert_array_equal(got.steps[:5], queue(5, 4, Halt(DEPTH, threshold=MIDDLE)).steps)


def test_devices_change_nothing():
    halt = Halt(max_steps=DEPTH, threshold=MIDDLE)
    one, eight = (queue(29, 8, halt, devices) for devices in (1, 8))
    np.testing.assert_array_equal(one.steps, eight.steps)
    np.testing.assert_array_equal(one.answers, eight.answers)
    assert one.rounds == eight.rounds


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_steps": 0},
        {"max_steps": 3, "min_steps": 4},
        {"max_steps": 3, "patience": 0},
        {"max_steps": 3, "threshold": 0.0},
        {"max_steps": 3, "threshold": 1.1},
    ],
)
def test_senseless_rules_are_refused(wrong):
    with pytest.raises(UserError, match="makes no sense|halting threshold"):
        Halt(**wrong)
