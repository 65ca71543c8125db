"""Which checkpoints are kept, and that a torn one is never read."""

import dataclasses
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import runs
from trm_jax.core.errors import UserError
from trm_jax.core.mesh import ROW_MULTIPLE
from trm_jax.tasks.sources import open_training_data
from trm_jax.train.checkpoint import Checkpoints
from trm_jax.train.run import prepare


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    experiment = runs.experiment()
    data = open_training_data(experiment.data, tmp_path_factory.mktemp("d") / "data")
    return prepare(experiment, data)


@pytest.fixture(scope="module")
def state(run):
    return run.init(jax.random.key(0))


def numbered(state, step):
    return state.replace(step=jax.device_put(jnp.int32(step), state.step.sharding))


def test_newest_two_and_the_best_stay(tmp_path, run, state):
    scores = {1: 0.1, 2: 0.9, 3: 0.3, 4: None, 5: 0.2, 6: None}
    with Checkpoints(tmp_path) as checkpoints:
        for step, score in scores.items():
            checkpoints.save(step, numbered(state, step), {"a": 1}, score)
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.steps() == [2, 5, 6]
        assert (checkpoints.best_step(), checkpoints.latest_step()) == (2, 6)
        restored = checkpoints.restore(6, run.shapes, run.shardings)
    assert int(restored.step) == 6
    runs.assert_same(runs.arrays(restored), runs.arrays(numbered(state, 6)))


def test_best_is_the_newest_where_none_was_scored(tmp_path, state):
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.best_step() is None
        checkpoints.save(3, state, {}, None)
        checkpoints.save(4, state, {}, None)
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.best_step() == 4


def test_a_save_cut_short_is_not_seen(tmp_path, state):
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(3, state, {}, None)
    (tmp_path / "7.orbax-checkpoint-tmp").mkdir()
    (tmp_path / "7.orbax-checkpoint-tmp" / "state").write_text("half of it")
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.latest_step() == 3
        checkpoints.save(7, numbered(state, 7), {}, None)
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.latest_step() == 7


def test_state_may_be_donated_while_it_is_saved(tmp_path, run, state):
    mine = jax.tree.map(jnp.copy, state)
    before = runs.arrays(mine)
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, mine, {}, None)
        jax.tree.map(lambda a: a.delete(), mine)
    with Checkpoints(tmp_path) as checkpoints:
        runs.assert_same(runs.arrays(checkpoints.restore(1, run.shapes, run.shardings)), before)


def test_weights_alone(tmp_path, run, state):
    averaged = state.replace(ema=jax.tree.map(lambda a: a + 1, state.ema))
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, averaged, {}, None)
        shapes = run.shapes
        weights = checkpoints.restore_weights(1, shapes.weights, shapes.ema, run.shardings.weights)
    for got, want in zip(
        jax.tree.leaves(weights), jax.tree.leaves(averaged.eval_weights()), strict=True
    ):
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("saved_on", [1, 8])
def test_a_split_table_is_restored_on_another_number_of_devices(tmp_path, run, saved_on):
    def on(devices):
        changes = {"table": {"rows": ROW_MULTIPLE}, "mesh": {"data": devices}}
        return prepare(runs.experiment(**changes), run.dataset)

    first = on(saved_on)
    state = first.init(jax.random.key(0))
    rows = np.random.default_rng(0).normal(size=state.weights.table.shape).astype(np.float32)
    table = jax.device_put(rows, first.shardings.weights.table)
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, state.replace(weights=state.weights.replace(table=table)), {}, None)
    for devices in (1, 2, 8):
        other = on(devices)
        with Checkpoints(tmp_path) as checkpoints:
            restored = checkpoints.restore(1, other.shapes, other.shardings).weights.table
        np.testing.assert_array_equal(restored, rows)
        assert {shard.data.shape[0] for shard in restored.addressable_shards} == {
            ROW_MULTIPLE // devices
        }


def test_other_shapes_are_refused(tmp_path, run, state):
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, state, {}, None)
        other = runs.experiment(model={"width": 32})
        bigger = prepare(other, dataclasses.replace(run.dataset))
        with pytest.raises(UserError, match="does not fit"):
            checkpoints.restore(1, bigger.shapes, bigger.shardings)


def test_a_damaged_checkpoint_is_named_and_no_other_taken(tmp_path, run, state):
    with Checkpoints(tmp_path) as checkpoints:
        for step in (3, 4):
            checkpoints.save(step, numbered(state, step), {}, None)
    for data in (tmp_path / "4" / "state").glob("**/d"):
        shutil.rmtree(data)
    with Checkpoints(tmp_path, read_only=True) as checkpoints:
        words = rf"Checkpoint 4 in {tmp_path} is damaged .*--checkpoint \(the newest sound one is 3"
        with pytest.raises(UserError, match=words):
            checkpoints.restore(4, run.shapes, run.shardings)
        with pytest.raises(UserError, match=words):
            checkpoints.restore_weights(4, run.shapes.weights, {}, run.shardings.weights)
        assert int(checkpoints.restore(3, run.shapes, run.shardings).step) == 3
    (tmp_path / "3").rename(tmp_path / "gone")
    with (
        Checkpoints(tmp_path, read_only=True) as checkpoints,
        pytest.raises(UserError, match="train in a new --workdir"),
    ):
        checkpoints.restore(4, run.shapes, run.shardings)


def test_weights_of_other_shapes_are_refused(tmp_path, run, state):
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, state, {}, None)
        wide = jax.tree.map(
            lambda a: jax.ShapeDtypeStruct((*a.shape[:-1], 77), a.dtype), run.shapes.weights
        )
        with pytest.raises(UserError, match="does not fit .* here"):
            checkpoints.restore_weights(1, wide, {}, run.shardings.weights)
