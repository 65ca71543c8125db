"""The mesh and how arrays lie on it."""

import functools

import jax
import numpy as np
import pytest

from trm_jax.config.experiment import OptimizerConfig
from trm_jax.core.errors import UserError
from trm_jax.core.mesh import (
    DATA,
    TABLE,
    check_divides,
    make_mesh,
    over_slots,
    replicated,
    to_global,
)
from trm_jax.models import act, get_model
from trm_jax.models.settings import ModelConfig
from trm_jax.train.optim import dense_optimizer
from trm_jax.train.state import init_state, state_shardings


def test_mesh_takes_as_many_devices_as_it_is_told():
    assert make_mesh().size == make_mesh(0).size == 8
    for count in (1, 2, 8):
        mesh = make_mesh(count)
        assert mesh.size == mesh.shape[DATA] * mesh.shape[TABLE] == count


@pytest.mark.parametrize("count", [9, -1])
def test_impossible_meshes_are_refused_by_name(count):
    with pytest.raises(UserError, match=f"config.mesh.data is {count} .* are 8"):
        make_mesh(count)


def test_batches_must_divide():
    check_divides(make_mesh(8), 16)
    check_divides(make_mesh(1), 7)
    with pytest.raises(UserError, match=r"config\.batch_size is 12, .* 8 devices"):
        check_divides(make_mesh(8), 12)


@pytest.mark.parametrize("devices", [1, 8])
@pytest.mark.parametrize("axis", [0, 1])
def test_slots_are_split_in_order(devices, axis):
    rows = np.arange(3 * 16).reshape(3, 16) if axis else np.arange(16 * 3).reshape(16, 3)
    tree = to_global({"a": rows}, over_slots(make_mesh(devices), axis))
    np.testing.assert_array_equal(tree["a"], rows)
    for i, shard in enumerate(sorted(tree["a"].addressable_shards, key=lambda s: s.device.id)):
        expected = np.split(rows, devices, axis=axis)[i]
        np.testing.assert_array_equal(shard.data, expected)
    assert len(tree["a"].addressable_shards) == devices


def test_replicated_arrays_are_whole_everywhere():
    rows = np.arange(6)
    spread = to_global(rows, replicated(make_mesh(8)))
    assert len(spread.addressable_shards) == 8
    for shard in spread.addressable_shards:
        np.testing.assert_array_equal(shard.data, rows)


def test_of_a_state_the_carry_is_split_and_all_else_is_everywhere():
    model = get_model(ModelConfig(vocab=6, cells=4, width=8, heads=2, prefix_tokens=1))
    optimizer = dense_optimizer(OptimizerConfig(), 10)
    init = functools.partial(
        init_state,
        model=model,
        optimizer=optimizer,
        table_rows=3,
        ema_scope="all",
        metric_names=("updates",),
        empty_carry=lambda initial: act.empty_carry(model.config, initial, 16),
    )
    shapes = jax.eval_shape(init, jax.random.key(0))
    mesh = make_mesh(8)
    shardings = state_shardings(mesh, shapes)
    assert jax.tree.structure(shardings) == jax.tree.structure(shapes)
    split = jax.tree.leaves(shardings.carry)
    assert len(split) == 7 and set(split) == {over_slots(mesh)}
    rest = jax.tree.leaves(shardings.replace(carry=None))
    assert len(rest) > 10 and set(rest) == {replicated(mesh)}


@pytest.mark.parametrize(
    ("data", "table", "shape"),
    [
        (8, 0, (1, 8)),
        (8, 2, (4, 2)),
        (8, 1, (8, 1)),
        (6, 0, (3, 2)),
        (3, 0, (3, 1)),
        (1, 0, (1, 1)),
    ],
)
def test_the_table_axis_divides_the_devices(data, table, shape):
    mesh = make_mesh(data, table)
    assert (mesh.shape[DATA], mesh.shape[TABLE]) == shape


@pytest.mark.parametrize(("data", "table"), [(8, 3), (6, 3), (8, 16), (8, -1)])
def test_impossible_table_axes_are_refused(data, table):
    with pytest.raises(UserError, match=rf"config\.mesh\.table is {table}; it must divide"):
        make_mesh(data, table)


def test_parts_must_divide_the_slots_of_a_device():
    check_divides(make_mesh(2), 16, 4)
    with pytest.raises(UserError, match=r"config\.accumulate is 3, .* the 8 slots of each device"):
        check_divides(make_mesh(2), 16, 3)
