"""The pool of a lattice model's own states: what is true stays true, on any devices."""

import random

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import runs
from tests.train.test_resume import final_state, killed_until_done
from trm_jax.core.errors import EXIT_DONE, UserError
from trm_jax.core.mesh import make_mesh, over_slots, to_global
from trm_jax.core.types import Batch
from trm_jax.models import get_model
from trm_jax.tasks.sources import open_training_data
from trm_jax.tasks.sudoku.sudoku import Sudoku
from trm_jax.tasks.task import task_of
from trm_jax.train import pool
from trm_jax.train.loop import train
from trm_jax.train.run import prepare

MODEL = {
    "kind": "lattice",
    "mixer": "attention",
    "positions": "learned",
    "prefix_tokens": 0,
    "T": 1,
    "n": 2,
    "lattice": {"max_rounds": 5},
}


def experiment(**changes):
    """The tiny experiment with a lattice model."""
    model = runs.merged(MODEL, changes.pop("model", {}))
    return runs.experiment(model=model, **changes)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    config = experiment(data={"base_examples": 64, "heldout_examples": 2})
    return open_training_data(config.data, tmp_path_factory.mktemp("pool") / "data")


@pytest.fixture(scope="module")
def model(dataset):
    return get_model(experiment().model_config(dataset.manifest))


@pytest.fixture(scope="module")
def deduction(dataset):
    return task_of(dataset.manifest).deduction(dataset.manifest)


def batch_of(dataset, count):
    arrays = dataset.inputs[:count], dataset.labels[:count]
    inputs, labels = (jnp.asarray(a.astype(np.int32)) for a in arrays)
    return Batch(inputs=inputs, labels=labels, ids=jnp.zeros((count,), jnp.int32))


def filled(dataset, model, seed=0, count=64):
    keys = jax.random.split(jax.random.key(seed), count)
    return pool.refill(pool.empty_pool(model, count), batch_of(dataset, count), keys, model)


def keeps_rules(answers, box=(2, 2)):
    return Sudoku(*box).valid_answers((np.asarray(answers) + 2).astype(np.uint8))


def test_new_states_are_the_puzzle_or_have_cells_filled_in(dataset, model):
    found = filled(dataset, model)
    batch = batch_of(dataset, 64)
    question, answer = np.asarray(batch.inputs) - 2, np.asarray(batch.labels) - 2
    given, s = np.asarray(found.given), np.asarray(found.candidates)
    assert (given >= (question >= 0)).all()  # the puzzle's own givens among them
    assert (s.sum(-1) == np.where(given, 1, 4)).all()
    value = np.where(given, s.argmax(-1), -1)
    np.testing.assert_array_equal(value[question >= 0], question[question >= 0])
    untouched = (given == (question >= 0)).all(1)
    mistaken = (given & (value != answer)).any(1)
    assert 4 <= untouched.sum() <= 24 and 2 <= mistaken.sum() <= 24
    assert (~untouched & ~mistaken).sum() >= 16
    np.testing.assert_array_equal(found.answers, answer)


def test_states_that_go_on_keep_their_slot(dataset, model):
    before = filled(dataset, model)
    ended = np.arange(64) % 3 == 0
    keys = jax.random.split(jax.random.key(9), 64)
    flipped = jax.tree.map(lambda a: a[::-1], batch_of(dataset, 64))
    after = pool.refill(before.replace(ended=jnp.asarray(ended)), flipped, keys, model)
    for name in ("candidates", "answers", "given", "rounds"):
        old, new = np.asarray(getattr(before, name)), np.asarray(getattr(after, name))
        np.testing.assert_array_equal(new[~ended], old[~ended])
    np.testing.assert_array_equal(
        np.asarray(after.answers)[ended], np.asarray(flipped.labels)[ended] - 2
    )
    assert not after.ended.any()


@pytest.mark.parametrize("box", [(2, 2), (2, 3), (3, 2), (3, 3)])
def test_symmetries_are_those_of_the_rules(box):
    manifest = {"task": "sudoku", "box": list(box)}
    side = box[0] * box[1]
    deduction = task_of(manifest).deduction(manifest)
    r, c = np.divmod(np.arange(side**2), side)
    grid = (r % box[0] * box[1] + r // box[0] + c) % side  # a solved Sudoku
    assert keeps_rules(grid[None], box)[0] and deduction.accepts(jnp.asarray(grid)[None])[0]
    moved = deduction.draw(jax.random.split(jax.random.key(0), 200))
    boards = jnp.tile(jax.nn.one_hot(grid, side, dtype=bool)[None], (200, 1, 1))
    turned = moved.apply(boards)
    answers = np.asarray(turned.argmax(-1))
    assert keeps_rules(answers, box).all() and deduction.accepts(jnp.asarray(answers)).all()
    assert len(np.unique(answers, axis=0)) > 100
    np.testing.assert_array_equal(moved.invert().apply(turned), boards)
    # where boxes are no squares, a transposition would break them
    transposed = (np.asarray(moved.cells).reshape(200, side, side)[:, 0, 1] // side) != (
        np.asarray(moved.cells).reshape(200, side, side)[:, 0, 0] // side
    )
    assert transposed.any() == (box[0] == box[1])
    broken = answers.copy()
    broken[:, 0] = broken[:, 1]
    assert not deduction.accepts(jnp.asarray(broken)).any()


def test_turning_a_pool_turns_all_of_it(dataset, model, deduction):
    before = filled(dataset, model)
    after = pool.turn(before, deduction.draw(jax.random.split(jax.random.key(3), 64)))
    assert keeps_rules(after.answers).all()
    one, other = pool.truth_of(before), pool.truth_of(after)
    np.testing.assert_array_equal(one.satisfiable, other.satisfiable)
    np.testing.assert_array_equal(one.counted.sum(1), other.counted.sum(1))
    assert (np.asarray(before.candidates) != np.asarray(after.candidates)).any()


def updated(dataset, devices, updates=3, **changes):
    """A state after some updates on so many devices, and its metrics."""
    config = experiment(batch_size=16, mesh={"data": devices}, **changes)
    run = prepare(config, dataset, make_mesh(devices))
    state = run.init(jax.random.key(0))
    arrays = jax.tree.map(lambda a: np.asarray(a)[None], batch_of(dataset, 16))
    for _ in range(updates):
        state, metrics = run.step(state, to_global(arrays, over_slots(run.mesh, axis=1)))
    # keys' biases change no attention: their gradient is rounding alone, and Adam's step anything
    arrays = {k: v for k, v in runs.arrays(state).items() if "['qkv']['bias']" not in k}
    return arrays, {k: float(v) for k, v in metrics.items()}


@pytest.mark.slow
def test_eight_devices_train_as_one_does(dataset):
    one, metrics = updated(dataset, 1)
    eight, others = updated(dataset, 8)
    runs.assert_near(one, eight)  # what a state does, too: candidates, rounds, guesses
    assert metrics == pytest.approx(others, rel=1e-3, nan_ok=True)


@pytest.mark.slow
def test_slots_in_parts_train_as_all_at_once(dataset):
    one, _ = updated(dataset, 1, updates=2)
    parts, _ = updated(dataset, 1, updates=2, accumulate=4)
    runs.assert_near(one, parts)


def test_metrics_say_what_happened_to_the_states(dataset):
    """With a loss that only pushes candidates down, everything is eliminated, falsely."""
    weights = {"positive_weight": 0.0, "negative_weight": 9.0, "digit_weight": 0.0}
    _, metrics = updated(
        dataset,
        1,
        updates=60,
        optimizer={"lr": 0.1, "warmup": 0},
        model={"lattice": weights},
        log_every=1,
    )
    assert metrics["false_eliminations"] > 1 and metrics["conflicts_found"] > 0.8
    assert metrics["solved"] < 0.2 and metrics["rounds"] == pytest.approx(1, abs=0.5)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"chains": 2}, "config.chains is 2"),
        ({"curriculum": ((0.0, 1, 1), (0.5, 2, 2))}, "config.curriculum changes T"),
    ],
)
def test_ways_of_training_that_it_does_not_have_are_refused(changes, words):
    with pytest.raises(UserError, match=words):
        experiment(**changes)


def test_a_task_without_candidates_is_refused(tmp_path):
    config = experiment(data={"task": "maze", "copies": 0, "base_examples": 4})
    with pytest.raises(UserError, match="'maze' has no candidates to eliminate"):
        train(config, str(tmp_path / "run"))
    assert not (tmp_path / "run" / "config.json").exists()


@pytest.mark.slow
def test_killed_runs_end_as_the_others(tmp_path):
    config = experiment(name="lattice", curriculum=((0.0, 1, 1), (0.5, 1, 2)))
    assert train(config, str(tmp_path / "whole")) == EXIT_DONE
    kills = killed_until_done(tmp_path / "killed", config, tmp_path / "cache", random.Random(5), 2)
    assert kills == 2
    runs.assert_same(
        final_state(tmp_path / "whole", config), final_state(tmp_path / "killed", config)
    )
    assert runs.metrics(tmp_path / "whole") == runs.metrics(tmp_path / "killed")
