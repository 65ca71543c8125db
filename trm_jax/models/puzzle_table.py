"""The puzzle table: one learned row per puzzle id, with its own sparse optimizer.

Most steps touch few rows, so gradients and updates are by row: nothing the size of the table is
ever made besides the table itself. A large table is split by rows over the mesh (`mesh.is_split`)
and never gathered: ids travel to the rows, and only the rows of one batch travel back.
"""

import functools

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, PartitionSpec

from trm_jax.core.errors import UserError
from trm_jax.core.mesh import ROW_MULTIPLE, SLOTS, TABLE, is_split

ROWS, BATCH = PartitionSpec(TABLE), PartitionSpec(SLOTS)
"""How the rows of a table, and what there is for each slot, lie on the mesh."""

_CHUNK = 64
"""Rows that each device asks for at a time while a whole table is remapped."""


def padded_rows(configured: int, needed: int) -> int:
    """R, rows of a table: a table large enough to be split gets a divisible number.

    Args:
      configured: `TableConfig.rows`; 0 takes as many as are needed.
      needed: rows that a data set has.

    Raises:
      UserError: the data set has more rows than configured.
    """
    if 0 < configured < needed:
        raise UserError(
            f"config.table.rows is {configured} and the data set has {needed} rows; 0 takes as "
            "many as there are."
        )
    rows = configured or needed
    return rows if rows < ROW_MULTIPLE else -(-rows // ROW_MULTIPLE) * ROW_MULTIPLE


def init_table(rows: int, width: int) -> jax.Array:
    """float32 [R, E] of zeros, as published: an untrained row says nothing.

    Without a table (width 0) it is [1, 1] and never read: checkpoints cannot hold empty arrays.
    """
    return jnp.zeros((rows, width) if width else (1, 1), jnp.float32)


def lookup(table: jax.Array, ids: jax.Array, mesh: Mesh) -> jax.Array:
    """Rows [B, E] of the table [R, E] for int32 ids [B]; B is a multiple of the devices."""
    if not is_split(table.shape[0]):
        return jnp.take(table, ids, axis=0, mode="clip")
    fetch = jax.shard_map(_fetch, mesh=mesh, in_specs=(ROWS, BATCH), out_specs=BATCH)
    return fetch(table, ids)


def sign_sgd(
    table: jax.Array,
    ids: jax.Array,
    row_gradients: jax.Array,
    lr: jax.Array,
    weight_decay: float,
    mesh: Mesh,
) -> jax.Array:
    """Sparse sign-SGD with decoupled decay, on the rows that this batch touched and no others.

    With G the sum of the gradients of all slots that share an id, over the whole global batch:
    p <- p (1 - lr wd) - lr sign(G). A touched row whose gradients cancel is still decayed.

    Args:
      table: [R, E].
      ids: int32 [B], the row of each slot; may repeat. B is a multiple of the devices.
      row_gradients: [B, E], gradient of the loss by each slot's row.
      lr: scalar learning rate.
      weight_decay: wd.
      mesh: over which slots, and a large table's rows, are split.

    Returns:
      The new table [R, E]; the same whatever the number of devices, bit for bit, as equal ids are
      summed in the order of the global batch.
    """
    lr = jnp.asarray(lr, table.dtype)
    if not is_split(table.shape[0]):
        return _step(table, ids, row_gradients, lr, weight_decay, 0)
    step = jax.shard_map(
        functools.partial(_step_shard, weight_decay=weight_decay),
        mesh=mesh,
        in_specs=(ROWS, BATCH, BATCH, PartitionSpec()),
        out_specs=ROWS,
        # what is gathered from all is the same on all, which JAX does not see
        check_vma=False,
    )
    return step(table, ids, row_gradients, lr)


def remap(table: jax.Array, rows: jax.Array, mesh: Mesh) -> jax.Array:
    """A new table out of an old one's rows: how tables grow, shrink and change their order.

    Args:
      table: [R, E], the old one.
      rows: int32 [new R], which old row each new one is; -1 makes it zeros, an untrained row.
      mesh: over which both are split, where they are large.

    Returns:
      [new R, E]. On no device is anything larger than its part of the two tables.
    """
    zeros = jnp.asarray(0, table.dtype)
    if not is_split(table.shape[0]):
        found = jnp.take(table, jnp.maximum(rows, 0), axis=0, mode="clip")
        return jnp.where((rows >= 0)[:, None], found, zeros)
    fetch = jax.shard_map(_fetch_chunks, mesh=mesh, in_specs=(ROWS, ROWS), out_specs=ROWS)
    padded = jnp.pad(rows, (0, -rows.shape[0] % mesh.shape[TABLE]), constant_values=-1)
    return fetch(table, padded)[: rows.shape[0]]


def _fetch_chunks(shard: jax.Array, rows: jax.Array) -> jax.Array:
    """`_fetch` of many rows, a chunk after the other."""
    chunk = min(_CHUNK, rows.shape[0])
    padded = jnp.pad(rows, (0, -rows.shape[0] % chunk), constant_values=-1)
    found = jax.lax.map(functools.partial(_fetch, shard), padded.reshape(-1, chunk))
    return found.reshape(-1, shard.shape[1])[: rows.shape[0]]


def _fetch(shard: jax.Array, ids: jax.Array) -> jax.Array:
    """On each device: the rows of its own ids [b], from whichever devices have them; -1: zeros.

    Every device hands out what it has of everybody's rows and zeros for the rest, and their sum
    is scattered. It is exact: all but one of the terms are zero.
    """
    wanted = jax.lax.all_gather(ids, TABLE, tiled=True) - _first_row(shard)
    here = (wanted >= 0) & (wanted < shard.shape[0])
    rows = jnp.take(shard, wanted, axis=0, mode="clip")
    rows = jnp.where(here[:, None], rows, jnp.asarray(0, shard.dtype))
    return jax.lax.psum_scatter(rows, TABLE, tiled=True)


def _step_shard(
    shard: jax.Array, ids: jax.Array, row_gradients: jax.Array, lr: jax.Array, weight_decay: float
) -> jax.Array:
    """On each device: updates its own rows by the gradients of the whole batch."""
    ids, row_gradients = (jax.lax.all_gather(a, SLOTS, tiled=True) for a in (ids, row_gradients))
    return _step(shard, ids, row_gradients, lr, weight_decay, _first_row(shard))


def _first_row(shard: jax.Array) -> jax.Array:
    """Number, in the whole table, of the first row that this device has."""
    return jax.lax.axis_index(TABLE) * shard.shape[0]


def _step(
    table: jax.Array,
    ids: jax.Array,
    row_gradients: jax.Array,
    lr: jax.Array,
    weight_decay: float,
    first_row: jax.Array | int,
) -> jax.Array:
    """`sign_sgd` of the rows from `first_row` on that `table` has; other ids are passed over."""
    slots, rows = ids.shape[0], table.shape[0]
    # `size` keeps the shape static: surplus places get an id that no row has
    nobody = jnp.iinfo(ids.dtype).max
    touched, place = jnp.unique(ids, return_inverse=True, size=slots, fill_value=nobody)
    summed = jax.ops.segment_sum(row_gradients, place, num_segments=slots)
    here = touched - first_row
    here = jnp.where((here >= 0) & (here < rows), here, rows)  # not negative, which would wrap
    old = jnp.take(table, here, axis=0, mode="clip")
    new = old * (1 - lr * weight_decay) - lr * jnp.sign(summed).astype(table.dtype)
    return table.at[here].set(new, mode="drop")
