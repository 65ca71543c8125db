"""The train step: one compiled program, the same on any mesh, and what each update changes."""

import dataclasses
import functools
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.core import jaxprs_in_params

from tests.compilations import compilations
from tests.runs import TINY_MODEL
from trm_jax.config.experiment import OptimizerConfig, TableConfig
from trm_jax.core.mesh import ROW_MULTIPLE, make_mesh, over_slots, to_global
from trm_jax.core.types import Batch
from trm_jax.models import get_model
from trm_jax.models.settings import LossConfig
from trm_jax.train.method import Recipe
from trm_jax.train.state import state_shardings
from trm_jax.train.step import metric_names, summarise
from trm_jax.train.trainer import make_trainer

SLOTS = 8
ROWS = 40
LOG_EVERY = 3
MODEL = dataclasses.replace(TINY_MODEL, N=3, halt_exploration=0.5)
OPTIMIZER = OptimizerConfig(lr=1e-3, warmup=4, ema=0.75)
TABLE = TableConfig(lr=1e-2, weight_decay=0.5)


@functools.cache
def setting(devices, rows=ROWS, table=0, parts=1):
    """What it takes to train: `fresh()` states and the compiled `step`.

    On one device the dense parameters are averaged, on several all: one compilation less.
    """
    scope = "dense" if devices == 1 else "all"
    optimizer = dataclasses.replace(OPTIMIZER, ema_scope=scope)
    recipe = Recipe(
        batch_size=SLOTS,
        accumulate=parts,
        chains=1,
        steps=100,
        log_every=LOG_EVERY,
        optimizer=optimizer,
        schedule=optimizer,
        table=TABLE,
        loss=LossConfig(),
    )
    mesh = make_mesh(devices, table)
    trainer = make_trainer(recipe, get_model(MODEL), mesh, rows, {})
    return types.SimpleNamespace(
        mesh=mesh,
        shapes=trainer.shapes,
        fresh=functools.partial(trainer.init, jax.random.key(0)),
        step=trainer.step(MODEL.T, MODEL.n),
    )


def batches(first, count=1):
    """Updates `first` to `first + count` of an endless stream; row 0 is never used."""
    items = []
    for number in range(first, first + count):
        draw = np.random.default_rng(number)
        cells = draw.integers(2, 6, (2, SLOTS, 16)).astype(np.int32)
        ids = draw.integers(1, ROWS, SLOTS).astype(np.int32)
        items.append(Batch(inputs=cells[0], labels=cells[1], ids=ids))
    return jax.tree.map(lambda *parts: np.stack(parts), *items)


def advance(setup, state, first, count, per_dispatch=1):
    """Takes `count` updates; returns the state and the means of each dispatch as floats."""
    seen = []
    for number in range(first, first + count, per_dispatch):
        batch = to_global(batches(number, per_dispatch), over_slots(setup.mesh, axis=1))
        state, means = setup.step(state, batch)
        seen.append({key: float(value) for key, value in means.items()})
    return state, seen


def arrays(tree):
    """NumPy copies that outlive a donated state."""
    return jax.tree.map(lambda a: np.array(a), tree)


def floats_of(state):
    tree = (state.weights, state.opt_state, state.ema["params"], state.carry.latents)
    return [leaf for leaf in jax.tree.leaves(arrays(tree)) if leaf.dtype == np.float32]


@pytest.fixture(scope="module")
def six():
    """A state after six updates on one device, and the means on the way."""
    state, seen = advance(setting(1), setting(1).fresh(), 0, 6)
    return arrays(state.replace(key=jax.random.key_data(state.key))), seen


@pytest.fixture(scope="module")
def one():
    """A fresh state and the one after a single update, as NumPy arrays."""
    state = setting(1).fresh()
    before = arrays(state.replace(key=jax.random.key_data(state.key)))
    state, _ = advance(setting(1), state, 0, 1)
    return before, arrays(state.replace(key=jax.random.key_data(state.key)))


@pytest.mark.parametrize("devices", [1, 8])
def test_compiles_once_takes_the_state_and_transfers_nothing(devices):
    setup = setting(devices)
    state = setup.fresh()
    on_device = [to_global(batches(i), over_slots(setup.mesh, axis=1)) for i in range(6)]
    with compilations() as compiled:
        for batch in on_device:
            old = state
            with jax.transfer_guard("disallow"):
                state, means = setup.step(state, batch)
            assert all(leaf.is_deleted() for leaf in jax.tree.leaves(old))
    # `_cache_size` would do, but counts typed keys on several devices twice, compiled once
    assert len(compiled) == 1
    assert int(state.step) == 6
    assert np.isfinite(means["loss"])
    expected = jax.tree.leaves(state_shardings(setup.mesh, setup.shapes))
    actual = [leaf.sharding for leaf in jax.tree.leaves(state)]
    for leaf, is_, should_be in zip(jax.tree.leaves(state), actual, expected, strict=True):
        assert is_.is_equivalent_to(should_be, leaf.ndim)


def test_one_device_and_eight_agree_to_rounding(six):
    state, seen = six
    other, also_seen = advance(setting(8), setting(8).fresh(), 0, 6)
    for a, b in zip(seen, also_seen, strict=True):
        for key in a:
            np.testing.assert_allclose(a[key], b[key], rtol=1e-4, err_msg=key)
    np.testing.assert_array_equal(state.carry.halted, other.carry.halted)
    np.testing.assert_array_equal(state.carry.steps, other.carry.steps)
    jax.tree.map(np.testing.assert_array_equal, state.carry.batch, arrays(other.carry.batch))
    for a, b in zip(floats_of(state), floats_of(other), strict=True):
        assert np.abs(a - b).max(initial=0) <= 1e-4 * np.abs(b).max(initial=1e-3)


@functools.cache
def split_tables(devices, table):
    """The table after two updates; rows far apart, the same ones in slots of different devices."""
    setup = setting(devices, ROW_MULTIPLE, table)
    state = setup.fresh()
    starts = {shard.index[0].start for shard in state.weights.table.addressable_shards}
    assert len(starts) == (table or devices)
    for number in range(2):
        spread = batches(number)
        spread = spread.replace(ids=(spread.ids * 200 + 23) % ROW_MULTIPLE)
        state, _ = setup.step(state, to_global(spread, over_slots(setup.mesh, axis=1)))
    return np.asarray(state.weights.table)


@pytest.mark.parametrize(
    ("devices", "table"),
    [
        pytest.param(8, 0, marks=pytest.mark.slow),
        (8, 2),
        pytest.param(4, 1, marks=pytest.mark.slow),
    ],
)
def test_a_table_split_over_devices_learns_as_on_one(devices, table):
    one, other = split_tables(1, 0), split_tables(devices, table)
    np.testing.assert_allclose(one, other, atol=1e-6)
    touched = np.flatnonzero(one.any(axis=1))
    assert len(touched) > 2 and len({row * 8 // ROW_MULTIPLE for row in touched.tolist()}) > 2


@pytest.mark.parametrize(("devices", "parts"), [pytest.param(1, 4, marks=pytest.mark.slow), (2, 2)])
def test_slots_taken_in_parts_are_all_of_them(six, devices, parts):
    state, seen = six
    setup = setting(devices, parts=parts)
    other, also_seen = advance(setup, setup.fresh(), 0, 6)
    for a, b in zip(seen, also_seen, strict=True):
        for key in a:
            np.testing.assert_allclose(a[key], b[key], rtol=1e-4, err_msg=key)
    np.testing.assert_array_equal(state.carry.steps, other.carry.steps)
    for a, b in zip(floats_of(state), floats_of(other), strict=True):
        assert np.abs(a - b).max(initial=0) <= 1e-4 * np.abs(b).max(initial=1e-3)


def test_three_updates_a_dispatch_are_three_single_ones(six):
    state, seen = six
    setup = setting(1)
    other, also_seen = advance(setup, setup.fresh(), 0, 6, per_dispatch=3)
    assert int(other.step) == 6
    for a, b in zip(seen[2::3], also_seen, strict=True):
        for key in a:
            np.testing.assert_allclose(a[key], b[key], rtol=1e-4, err_msg=key)
    for a, b in zip(floats_of(state), floats_of(other), strict=True):
        assert np.abs(a - b).max(initial=0) <= 1e-4 * np.abs(b).max(initial=1e-3)


def test_carry_over_updates_follows_the_stream(six):
    """With logits near -5 nobody halts early: N = 3 steps on each example, then the next one."""
    state, _ = six
    np.testing.assert_array_equal(state.carry.steps, np.full(SLOTS, 3))
    assert state.carry.halted.all()
    third = batches(3)
    np.testing.assert_array_equal(state.carry.batch.inputs, third.inputs[0])
    np.testing.assert_array_equal(state.carry.batch.labels, third.labels[0])
    np.testing.assert_array_equal(state.carry.batch.ids, third.ids[0])


def test_exploration_is_drawn_anew_at_each_update():
    """With sure logits an example stops after one step unless its slot explores."""
    setup = setting(1)
    state, stopped = setup.fresh(), []
    for number in range(10):
        params = state.weights.params
        sure = params["halt_head"] | {"bias": params["halt_head"]["bias"] + 100}
        weights = state.weights.replace(params=params | {"halt_head": sure})
        state, _ = advance(setup, state.replace(weights=weights), number, 1)
        steps, halted = np.asarray(state.carry.steps), np.asarray(state.carry.halted)
        stopped.append(np.where(steps == 1, halted, np.nan))
    shares = np.nanmean(stopped, axis=0)
    assert ((shares > 0) & (shares < 1)).any()


def test_what_an_update_changes_and_what_not(one):
    before, after = one
    assert (before.step, after.step) == (0, 1)
    np.testing.assert_array_equal(before.key, after.key)
    jax.tree.map(np.testing.assert_array_equal, before.weights.initial, after.weights.initial)
    moved = jax.tree.map(lambda a, b: (a != b).any(), before.weights.params, after.weights.params)
    assert all(jax.tree.leaves(moved))
    assert before.carry.halted.all() and not after.carry.halted.any()
    np.testing.assert_array_equal(after.carry.steps, np.ones(SLOTS))
    np.testing.assert_array_equal(after.carry.batch.inputs, batches(0).inputs[0])


def test_the_table_has_its_own_rate_on_the_dense_schedule(one):
    _, after = one
    table = after.weights.table
    touched = np.isin(np.arange(ROWS), batches(0).ids)
    assert 0 < touched.sum() < ROWS
    assert not table[~touched].any()
    first_rate = TABLE.lr / OPTIMIZER.warmup
    np.testing.assert_allclose(np.abs(table[touched]), first_rate, rtol=1e-6)
    assert (table[touched] > 0).any() and (table[touched] < 0).any()


def test_the_table_learns_the_rows_of_the_examples_that_slots_are_busy_with(six):
    """Each example stays for N = 3 updates, whatever else is offered meanwhile."""
    table = six[0].weights.table
    rows = np.arange(ROWS)
    worked_on = np.isin(rows, [batches(0).ids, batches(3).ids])
    passed_over = np.isin(rows, [batches(i).ids for i in (1, 2, 4, 5)]) & ~worked_on
    assert passed_over.any()
    np.testing.assert_array_equal(table.any(axis=1), worked_on)
    rates = np.asarray([1, 2, 3, 4, 4, 4]) / 4 * TABLE.lr
    assert np.abs(table).max() < rates.sum()


def test_moving_average_of_the_dense_parameters(one):
    before, after = one
    assert set(after.ema) == {"params"}
    expected = jax.tree.map(
        lambda a, b: 0.75 * a + 0.25 * b, before.weights.params, after.weights.params
    )
    check_close(after.ema["params"], expected)
    answering = after.eval_weights()
    check_close(answering.params, expected)
    np.testing.assert_array_equal(answering.table, after.weights.table)
    jax.tree.map(np.testing.assert_array_equal, answering.initial, after.weights.initial)


def test_moving_average_of_everything():
    setup = setting(8)
    state, _ = advance(setup, setup.fresh(), 0, 1)
    assert set(state.ema) == {"params", "table"}
    table = np.asarray(state.weights.table)
    assert table.any()
    np.testing.assert_allclose(state.ema["table"], 0.25 * table, rtol=1e-6)
    np.testing.assert_array_equal(state.eval_weights().table, state.ema["table"])


def check_close(actual, expected):
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-8), actual, expected
    )


def test_sums_start_again_after_each_log_point():
    setup = setting(1)
    state, updates, kept = setup.fresh(), [], []
    for number in range(7):
        state, seen = advance(setup, state, number, 1)
        updates.append(float(state.sums["updates"]))
        kept.append((seen[0]["token_loss"], float(state.sums["token_loss"])))
    assert updates == [1, 2, 3, 1, 2, 3, 1]
    for (mean, total), count in zip(kept, updates, strict=True):
        assert mean == pytest.approx(total / (count * SLOTS), rel=1e-5)
    assert kept[3][1] < kept[2][1] / 2


def test_summary_by_hand():
    names = metric_names(get_model(MODEL))
    assert "continue_loss" not in names
    sums = dict.fromkeys(names, jnp.float32(0)) | {
        "updates": jnp.float32(2),
        "token_loss": jnp.float32(8),
        "halt_loss": jnp.float32(4),
        "all/count": jnp.float32(16),
        "all/exact_accuracy": jnp.float32(4),
        "all/steps": jnp.float32(40),
    }
    got = {key: float(value) for key, value in summarise(sums, 8).items()}
    assert got["token_loss"] == 0.5 and got["halt_loss"] == 0.25
    assert got["loss"] == 0.5 + 0.5 * 0.25
    assert got["all/count"] == 16 and got["halted/count"] == 0
    assert got["all/exact_accuracy"] == 0.25 and got["all/steps"] == 2.5
    with_continue = summarise(sums | {"continue_loss": jnp.float32(12)}, 8)
    assert with_continue["continue_loss"] == 0.75
    assert with_continue["loss"] == 0.5 + 0.5 * (0.25 + 0.75)


def test_a_mean_over_no_rows_is_nan(one, six):
    """Nobody halts in the first update, everybody in the third."""
    first, third = six[1][0], six[1][2]
    assert first["halted/count"] == 0 and first["all/count"] == SLOTS
    for name in ("cell_accuracy", "exact_accuracy", "halt_accuracy", "steps"):
        assert np.isnan(first[f"halted/{name}"])
        assert np.isfinite(first[f"all/{name}"])
        assert np.isfinite(third[f"halted/{name}"])
    assert third["halted/count"] == SLOTS and third["halted/steps"] == 3
    assert third["all/count"] == 3 * SLOTS and third["all/steps"] == 2


def test_training_learns():
    """One batch over and over: the loss of its last round is far below that of its first."""
    setup = setting(1)
    state, losses = setup.fresh(), []
    for _ in range(30):
        batch = to_global(batches(0), over_slots(setup.mesh, axis=1))
        state, means = setup.step(state, batch)
        losses.append(float(means["loss"]))
    assert losses[-1] < losses[0] - 0.3


def table_sized(jaxpr, rows):
    """Names of the operations that make an array with as many rows as the table."""
    found = []
    for equation in jaxpr.eqns:
        inner = list(jaxprs_in_params(equation.params))
        for sub in inner:
            found += table_sized(sub, rows)
        if not inner and any(rows in getattr(v.aval, "shape", ()) for v in equation.outvars):
            found.append(equation.primitive.name)
    return found


def test_nothing_of_the_tables_size_is_made_but_the_new_table():
    rows = 123_457
    setup = setting(1, rows)
    shapes = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), batches(0))
    made = table_sized(jax.make_jaxpr(setup.step)(setup.shapes, shapes).jaxpr, rows)
    assert made == ["scatter"]
