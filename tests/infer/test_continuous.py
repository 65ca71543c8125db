"""Questions that come one by one get the answers of a queue that is there from the start."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.compilations import compilations
from tests.infer.test_chain_search import (  # noqa: F401, fixtures
    ANSWER,
    EASY,
    IMPOSSIBLE,
    deduction,
    model,
    params,
    question,
    search,
    tokens,
)
from tests.infer.test_halting import MIDDLE
from tests.infer.test_rollout import MODEL, questions, weights
from trm_jax.core.mesh import make_mesh
from trm_jax.infer.continuous import ENTERS, LEAVES
from trm_jax.infer.continuous_chains import ContinuousChains
from trm_jax.infer.continuous_halting import ContinuousHalting
from trm_jax.infer.halting import Entries, Halt, answer_queue
from trm_jax.infer.rollout import Rollout
from trm_jax.infer.watch import watch

DEPTH = 5
FIELDS = ("answers", "confident", "confidence", "steps", "passes")


def ask_all(program, asked, record=False, at_once=2):
    """Puts questions into free rows, a few a call; what is reported of each, and paths."""
    found, parts = [None] * len(asked), [[] for _ in asked]
    rows, waiting = {}, list(range(len(asked)))
    while waiting or rows:
        entering = program.nothing()
        free = [row for row in range(program.rows) if row not in rows][:at_once]
        for row in free[: len(waiting)]:
            rows[row] = waiting.pop(0)
            entering.inputs[row], entering.change[row] = asked[rows[row]], ENTERS
        advanced = program.advance(entering, record=record)
        if record:
            for row, number in rows.items():
                parts[number].append(program.part_of(row, advanced))
        for row in np.flatnonzero(advanced.report.done).tolist():
            fields = {name: getattr(advanced.report, name)[row] for name in FIELDS}
            found[rows.pop(row)] = fields
    together = {name: np.stack([each[name] for each in found]) for name in FIELDS}
    return together, [program.path_of(each) for each in parts if each]


@functools.cache
def compiled(devices=1):
    halt = Halt(max_steps=DEPTH, threshold=MIDDLE)
    state = jax.tree.map(jnp.asarray, weights())
    return ContinuousHalting(MODEL, state, make_mesh(devices), 4, halt, 3)


def queue_of(inputs, halt):
    run = jax.jit(functools.partial(answer_queue, MODEL, slots=4, halt=halt, mesh=make_mesh(1)))
    numbers = np.arange(len(inputs), dtype=np.int32)
    entries = Entries(inputs.astype(np.int32), numbers * 0, numbers, numbers * 0, numbers)
    state = jax.tree.map(jnp.asarray, weights())
    return jax.device_get(run(state, entries, jnp.int32(len(inputs))))


@pytest.fixture(scope="module")
def inputs():
    return np.concatenate([questions(8)[0]] * 2)[:11].astype(np.uint8)


def test_answers_are_those_of_the_queue(inputs):
    program = compiled()
    found, _ = ask_all(program, inputs)
    wanted = queue_of(inputs, program.halt)
    assert len(set(wanted.steps.tolist())) > 1, "else nothing would be refilled between others"
    np.testing.assert_array_equal(found["answers"], wanted.answers)
    np.testing.assert_array_equal(found["steps"], wanted.steps)
    np.testing.assert_array_equal(found["confident"], wanted.confident)
    logits = np.log(found["confidence"] / (1 - found["confidence"]))
    np.testing.assert_allclose(logits, wanted.halt_logits, atol=1e-3)


def test_recorded_steps_are_those_of_the_rollout(inputs):
    program = compiled()
    found, paths = ask_all(program, inputs, record=True)
    rollout = Rollout(MODEL, make_mesh(1), DEPTH, len(inputs), confidence=True)
    wanted = rollout(jax.tree.map(jnp.asarray, weights()), inputs)
    for number, path in enumerate(paths):
        steps = int(found["steps"][number])
        assert len(path.predictions) == steps
        np.testing.assert_array_equal(path.predictions, wanted.predictions[:steps, number])
        np.testing.assert_allclose(path.halt_logits, wanted.halt_logits[:steps, number], atol=1e-3)
        np.testing.assert_allclose(path.confidence, wanted.confidence[:steps, number], atol=2e-3)


def test_devices_change_nothing(inputs):
    one, two = ask_all(compiled(), inputs)[0], ask_all(compiled(2), inputs)[0]
    for name in ("answers", "steps", "confident"):
        np.testing.assert_array_equal(one[name], two[name], err_msg=name)


def test_a_row_that_is_given_up_is_free(inputs):
    program = compiled()
    entering = program.nothing()
    entering.inputs[:], entering.change[:] = inputs[:4], ENTERS
    program.advance(entering)
    leaving = program.nothing()
    leaving.change[:] = LEAVES
    assert not program.advance(leaving).report.done.any()
    assert program.advance(program.nothing()).report.taken == 0
    found, _ = ask_all(program, inputs)
    np.testing.assert_array_equal(found["answers"], queue_of(inputs, program.halt).answers)


@pytest.fixture(scope="module")
def chains(model, deduction, params):  # noqa: F811
    one = search(model, deduction, batch_size=4, passes=60, chains=1)
    return ContinuousChains(one, params, 3)


@pytest.fixture(scope="module")
def asked():
    return tokens(*EASY, IMPOSSIBLE, question(ANSWER, 0, 1, 4), question(ANSWER, 2, 3, 7))


def test_chains_are_those_of_each_puzzle_alone(chains, params, asked):  # noqa: F811
    found, paths = ask_all(chains, asked, record=True)
    for number, puzzle in enumerate(asked):
        wanted = chains.search(params, puzzle[None])
        assert found["confident"][number] == wanted.solved[0]
        assert found["passes"][number] == wanted.passes[0]
        assert found["steps"][number] == wanted.rounds[0]
        if wanted.solved[0]:
            np.testing.assert_array_equal(found["answers"][number], wanted.answers[0])
        (seen,) = watch(chains.search, params, puzzle[None])
        for name in ("ends", "cells", "symbols"):
            full = getattr(seen, name)[: len(paths[number].ends)]
            np.testing.assert_array_equal(getattr(paths[number], name), full, err_msg=name)
        np.testing.assert_allclose(
            paths[number].candidates, seen.candidates[: len(paths[number].ends)], atol=1e-3
        )
    assert not found["confident"][4] and found["passes"][4] >= 60


@pytest.mark.slow
def test_a_puzzle_alone_gets_several_chains_and_many_one_each(model, deduction, params):  # noqa: F811
    program = ContinuousChains(search(model, deduction, batch_size=8, chains=16), params, 2)
    alone = ask_all(program, tokens(question(ANSWER, 0, 1, 4)))[0]
    assert alone["passes"] >= 4 * alone["steps"] > 0  # half of the slots
    many = tokens(*EASY * 2)
    entering = program.nothing()
    entering.inputs[:], entering.change[:] = many, ENTERS
    report = program.advance(entering).report
    np.testing.assert_array_equal(report.passes, report.steps)


def test_a_puzzle_that_is_given_up_leaves_no_chain(chains, asked, params):  # noqa: F811
    entering = chains.nothing()
    entering.inputs[0], entering.change[0] = asked[4], ENTERS
    chains.advance(entering)
    leaving = chains.nothing()
    leaving.change[0] = LEAVES
    assert not chains.advance(leaving).report.done.any()
    assert chains.advance(chains.nothing()).report.taken == 0
    # another one may also take its place at once
    chains.advance(entering)
    entering.inputs[0] = asked[0]
    while not (report := chains.advance(entering).report).done[0]:
        entering = chains.nothing()
    wanted = chains.search(params, asked[:1])
    assert report.passes[0] == wanted.passes[0]
    np.testing.assert_array_equal(report.answers[0], wanted.answers[0])


def test_nothing_compiles_after_the_start(inputs, chains, asked):
    program = compiled()
    with compilations("") as events:
        for each, puzzles in ((program, inputs), (chains, asked)):
            ask_all(each, puzzles)
            ask_all(each, puzzles, record=True)
        assert not [name for name in events if "compile" in name or "trace" in name]
        jax.jit(lambda x: x + 1)(np.float32(len(events)))
        assert [name for name in events if "compile" in name], "compilations are counted"
