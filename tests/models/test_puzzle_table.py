"""Sparse sign-SGD of the puzzle table against the dense one; tables split over devices."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from trm_jax.core.errors import UserError
from trm_jax.core.mesh import ROW_MULTIPLE, make_mesh, over_rows, over_slots, replicated
from trm_jax.models.puzzle_table import init_table, lookup, padded_rows, remap, sign_sgd

LR, DECAY = 0.01, 0.5
DEVICES = [1, 2, 8]
ONE = make_mesh(1)

step = jax.jit(functools.partial(sign_sgd, mesh=ONE))


def some_table(rows, width=4):
    return np.random.default_rng(0).normal(size=(rows, width)).astype(np.float32)


def dense_reference(table, ids, row_gradients):
    """Decay of touched rows, and the sign of their summed gradient, all in float64."""
    gradient = np.zeros(table.shape)
    np.add.at(gradient, ids, row_gradients.astype(np.float64))
    touched = np.isin(np.arange(len(table)), ids)[:, None]
    stepped = table.astype(np.float64) * (1 - LR * DECAY) - LR * np.sign(gradient)
    return np.where(touched, stepped, table)


def check(rows, ids, row_gradients):
    table = some_table(rows, row_gradients.shape[1])
    got = np.asarray(step(table, ids, row_gradients, LR, DECAY))
    assert got.dtype == np.float32 and got.shape == table.shape
    np.testing.assert_allclose(got, dense_reference(table, ids, row_gradients), atol=1e-7)
    untouched = ~np.isin(np.arange(rows), ids)
    np.testing.assert_array_equal(got[untouched], table[untouched])


@pytest.mark.parametrize(
    ("rows", "slots"), [(20, 8), (5, 8), (1, 8), (2, 1), (8, 8)], ids=lambda n: str(n)
)
def test_equals_the_dense_optimizer(rows, slots):
    """Few rows make ids repeat; 1 row and 8 slots is how Sudoku trains."""
    draw = np.random.default_rng(rows)
    for _ in range(5):
        ids = draw.integers(0, rows, slots).astype(np.int32)
        gradients = draw.integers(-3, 4, (slots, 4)).astype(np.float32)
        check(rows, ids, gradients)


def test_first_and_last_row_are_rows_like_any_other():
    gradients = np.ones((2, 4), np.float32)
    check(6, np.asarray([0, 5], np.int32), gradients)
    check(6, np.asarray([5, 5], np.int32), gradients)
    check(6, np.asarray([0, 0], np.int32), gradients)


def test_gradients_of_equal_ids_are_summed_before_the_sign_is_taken():
    table = jnp.zeros((3, 1))
    ids = np.asarray([1, 1, 1], np.int32)
    got = step(table, ids, np.asarray([[5.0], [-1.0], [-1.0]], np.float32), LR, DECAY)
    np.testing.assert_allclose(got, [[0], [-LR], [0]], rtol=1e-6)


def test_a_touched_row_whose_gradients_cancel_is_still_decayed():
    table = some_table(3)
    gradients = np.asarray([[1.0] * 4, [-1.0] * 4], np.float32)
    got = step(table, np.asarray([2, 2], np.int32), gradients, LR, DECAY)
    np.testing.assert_allclose(got[2], table[2] * (1 - LR * DECAY), rtol=1e-6)
    np.testing.assert_array_equal(got[:2], table[:2])


def test_lookup_and_its_gradient():
    table, ids = some_table(5), np.asarray([4, 0, 4], np.int32)
    np.testing.assert_array_equal(lookup(table, ids, ONE), table[ids])
    assert lookup(init_table(5, 4), ids, ONE).shape == (3, 4)
    assert init_table(5, 0).size == 1  # no table; a checkpoint cannot hold an empty array


def test_a_fresh_table_says_nothing():
    table = init_table(3, 7)
    assert table.shape == (3, 7) and table.dtype == jnp.float32 and not table.any()


def test_nothing_of_the_tables_size_is_made():
    rows, width, slots = 200_000, 16, 8

    def lookup_and_step(table, ids):
        gradients = jax.grad(lambda rows: jnp.sum(jnp.sin(rows)))(lookup(table, ids, ONE) + 1)
        return sign_sgd(table, ids, gradients, jnp.float32(LR), DECAY, ONE)

    table = jax.ShapeDtypeStruct((rows, width), jnp.float32)
    ids = jax.ShapeDtypeStruct((slots,), jnp.int32)
    compiled = jax.jit(lookup_and_step, donate_argnums=0).lower(table, ids).compile()
    memory = compiled.memory_analysis()
    assert memory.alias_size_in_bytes >= 4 * rows * width
    assert memory.temp_size_in_bytes < 4 * rows * width / 100


def split_case(devices, rows=2 * ROW_MULTIPLE, slots=16):
    """A table split over devices, ids that repeat across them, and gradients."""
    mesh, draw = make_mesh(devices), np.random.default_rng(devices)
    table = jax.device_put(some_table(rows), over_rows(mesh, rows))
    part = rows // 8
    ids = draw.integers(0, rows, slots)
    ids[:6] = [0, part - 1, part, rows - 1, 5 * part, 5 * part]
    ids[-3:] = ids[:3]
    gradients = draw.integers(-2, 3, (slots, 4)).astype(np.float32)
    where = over_slots(mesh)
    return mesh, table, *(jax.device_put(a, where) for a in (ids.astype(np.int32), gradients))


@pytest.mark.parametrize("devices", DEVICES)
def test_a_split_table_lies_in_equal_parts(devices):
    _, table, *_ = split_case(devices)
    assert {shard.data.shape for shard in table.addressable_shards} == {
        (2 * ROW_MULTIPLE // devices, 4)
    }


@pytest.mark.parametrize("devices", DEVICES)
def test_a_split_table_is_read_where_it_lives(devices):
    mesh, table, ids, _ = split_case(devices)
    rows = jax.jit(functools.partial(lookup, mesh=mesh))(table, ids)
    np.testing.assert_array_equal(rows, np.asarray(table)[np.asarray(ids)])
    assert rows.sharding.is_equivalent_to(over_slots(mesh), 2)


@pytest.mark.parametrize("devices", DEVICES)
def test_a_split_table_is_updated_as_the_dense_reference_says(devices):
    mesh, table, ids, gradients = split_case(devices)
    step = jax.jit(functools.partial(sign_sgd, mesh=mesh))
    want = np.asarray(table)
    for _ in range(3):
        table = step(table, ids, gradients, LR, DECAY)
        want = dense_reference(want, np.asarray(ids), np.asarray(gradients)).astype(np.float32)
    np.testing.assert_allclose(table, want, atol=1e-6)
    untouched = ~np.isin(np.arange(len(want)), np.asarray(ids))
    np.testing.assert_array_equal(np.asarray(table)[untouched], some_table(len(want))[untouched])
    assert table.sharding.is_equivalent_to(over_rows(mesh, len(want)), 2)


def test_the_number_of_devices_changes_no_bit():
    """Sums of equal ids are taken in the order of the batch, wherever the slots lie."""
    draw = np.random.default_rng(0)
    rows, ids = 2 * ROW_MULTIPLE, draw.integers(0, 4, 64).astype(np.int32) * 511
    gradients = draw.normal(size=(64, 4)).astype(np.float32)
    results = []
    for devices in DEVICES:
        mesh = make_mesh(devices)
        step = jax.jit(functools.partial(sign_sgd, mesh=mesh))
        table = jax.device_put(some_table(rows), over_rows(mesh, rows))
        where = over_slots(mesh)
        got = step(table, jax.device_put(ids, where), jax.device_put(gradients, where), LR, DECAY)
        results.append(np.asarray(got).tobytes())
    assert len(set(results)) == 1


@pytest.mark.parametrize("devices", DEVICES)
@pytest.mark.parametrize(
    ("old", "new"),
    [(2048, 1024), (1024, 3072), (2048, 2048), (1024, 7), (7, 1024), (5, 9), (2048, 1)],
)
def test_tables_grow_shrink_and_change_their_order(devices, old, new):
    mesh = make_mesh(devices)
    before = some_table(old)
    rows = np.random.default_rng(new).integers(-1, old, new).astype(np.int32)
    rows[0] = old - 1
    move = jax.jit(functools.partial(remap, mesh=mesh), out_shardings=over_rows(mesh, new))
    after = move(jax.device_put(before, over_rows(mesh, old)), rows)
    np.testing.assert_array_equal(after, np.where(rows[:, None] < 0, 0, before[rows]))
    assert after.dtype == np.float32


def test_small_tables_are_everywhere_and_large_ones_divide():
    mesh = make_mesh(8)
    assert padded_rows(0, 1) == 1 and padded_rows(0, ROW_MULTIPLE - 1) == ROW_MULTIPLE - 1
    assert padded_rows(0, ROW_MULTIPLE) == ROW_MULTIPLE
    assert padded_rows(0, 876_405) % ROW_MULTIPLE == 0
    assert padded_rows(0, 876_405) - 876_405 < ROW_MULTIPLE
    assert over_rows(mesh, ROW_MULTIPLE - 1) == replicated(mesh) != over_rows(mesh, ROW_MULTIPLE)


def test_a_configured_number_of_rows_is_taken_where_it_is_enough():
    assert padded_rows(7, 5) == padded_rows(7, 7) == 7
    assert padded_rows(ROW_MULTIPLE + 1, 5) == 2 * ROW_MULTIPLE
    with pytest.raises(UserError, match=r"table\.rows is 4 .* 5 rows; set it to 0 "):
        padded_rows(4, 5)
