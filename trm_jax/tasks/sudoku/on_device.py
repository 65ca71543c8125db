"""Symmetries and rules of Sudoku as JAX functions, for lattice models."""

import jax
import jax.numpy as jnp

from trm_jax.tasks.deduction import Deduction, Movement
from trm_jax.tasks.sudoku.sudoku import Sudoku


def deduction(sudoku: Sudoku) -> Deduction:
    """See `Task.deduction`; the symmetries are those of `symmetry.draw`."""
    rows, columns = sudoku.box
    side, units = sudoku.side, jnp.asarray(sudoku.units())
    squares = rows == columns

    def draw_one(key: jax.Array) -> tuple[jax.Array, jax.Array]:
        of_rows, of_columns, of_symbols, of_flip = jax.random.split(key, 4)
        row = _line_order(of_rows, columns, rows)
        column = _line_order(of_columns, rows, columns)
        cells = row[:, None] * side + column[None]
        if squares:
            cells = jnp.where(jax.random.bernoulli(of_flip), cells.T, cells)
        return cells.reshape(-1), _permutation(of_symbols, side)

    def accepts(answers: jax.Array) -> jax.Array:
        found = jnp.take(answers, units, axis=1)
        once = jax.nn.one_hot(found, side, dtype=jnp.int32).sum(axis=2) == 1
        return jnp.all(once, axis=(1, 2))

    return Deduction(lambda keys: Movement(*jax.vmap(draw_one)(keys)), accepts)


def _permutation(key: jax.Array, count: int) -> jax.Array:
    """Uniformly random permutation, int32 [count]."""
    return jnp.argsort(jax.random.bits(key, (count,), jnp.uint32)).astype(jnp.int32)


def _line_order(key: jax.Array, groups: int, size: int) -> jax.Array:
    """Source line of each line, int32 [n]: permutes whole groups, then the lines of each group."""
    of_groups, of_lines = jax.random.split(key)
    group = _permutation(of_groups, groups)
    keys = jax.random.split(of_lines, groups)
    inside = jax.vmap(lambda k: _permutation(k, size))(keys)
    return (group[:, None] * size + inside).reshape(-1)
