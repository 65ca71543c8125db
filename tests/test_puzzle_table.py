"""Sparse sign-SGD of the puzzle table against the dense one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from trm_jax.puzzle_table import init_table, lookup, sign_sgd

LR, DECAY = 0.01, 0.5

step = jax.jit(sign_sgd)


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
    np.testing.assert_array_equal(lookup(table, ids), table[ids])
    assert lookup(init_table(5, 4), ids).shape == (3, 4)
    assert init_table(5, 0).size == 1  # no table; a checkpoint cannot hold an empty array


def test_a_fresh_table_says_nothing():
    table = init_table(3, 7)
    assert table.shape == (3, 7) and table.dtype == jnp.float32 and not table.any()


def test_nothing_of_the_tables_size_is_made():
    rows, width, slots = 200_000, 16, 8

    def lookup_and_step(table, ids):
        gradients = jax.grad(lambda rows: jnp.sum(jnp.sin(rows)))(lookup(table, ids) + 1)
        return sign_sgd(table, ids, gradients, jnp.float32(LR), DECAY)

    table = jax.ShapeDtypeStruct((rows, width), jnp.float32)
    ids = jax.ShapeDtypeStruct((slots,), jnp.int32)
    compiled = jax.jit(lookup_and_step, donate_argnums=0).lower(table, ids).compile()
    memory = compiled.memory_analysis()
    assert memory.alias_size_in_bytes >= 4 * rows * width
    assert memory.temp_size_in_bytes < 4 * rows * width / 100
