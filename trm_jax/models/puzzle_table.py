"""The puzzle table: one learned row per puzzle id, with its own sparse optimizer.

Most steps touch few rows, so gradients and updates are computed by row, and no further array of the
table's size is made. A large table is split by rows over the mesh (`mesh.is_split`) and never
gathered: ids are sent to the devices that hold the rows, and only one batch's rows are sent back.
"""

import functools

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, PartitionSpec

from trm_jax.core.errors import UserError
from trm_jax.core.mesh import ROW_MULTIPLE, SLOTS, TABLE, is_split

ROWS, BATCH = PartitionSpec(TABLE), PartitionSpec(SLOTS)
"""How the rows of a split table, and arrays with one entry per slot, are sharded."""

_CHUNK = 64
"""Number of rows that each device fetches at a time when a whole table is remapped."""


def padded_rows(configured: int, needed: int) -> int:
    """Number of rows R of a table; a large table is padded so that its rows can be split evenly.

    Args:
      configured: `TableConfig.rows`; 0 for as many as are needed.
      needed: number of rows of the dataset.

    Raises:
      UserError: the dataset has more rows than configured.
    """
    if 0 < configured < needed:
        raise UserError(
            f"config.table.rows is {configured} and the dataset has {needed} rows; set it to 0 "
            "for as many as needed."
        )
    rows = configured or needed
    return rows if rows < ROW_MULTIPLE else -(-rows // ROW_MULTIPLE) * ROW_MULTIPLE


def init_table(rows: int, width: int) -> jax.Array:
    """Makes a table of zeros, float32 [R, E]; an untrained row is zero, as in the published code.

    Without a table (width 0) it is [1, 1] and never read: checkpoints cannot hold empty arrays.
    """
    return jnp.zeros((rows, width) if width else (1, 1), jnp.float32)


def lookup(table: jax.Array, ids: jax.Array, mesh: Mesh) -> jax.Array:
    """Looks up rows [B, E] of the table [R, E] by ids int32 [B]; the devices must divide B."""
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
    """Sparse sign-SGD with decoupled weight decay, on the rows that the batch looks up.

    With G the sum of the gradients of all slots of the global batch that share an id:
    p <- p (1 - lr wd) - lr sign(G). A row whose gradients cancel is still decayed.

    Args:
      table: [R, E].
      ids: int32 [B], the row of each slot, with repetitions; B is a multiple of the devices.
      row_gradients: [B, E], gradient of the loss with respect to each slot's row.
      lr: scalar learning rate.
      weight_decay: weight decay, wd.
      mesh: mesh over which slots, and a large table's rows, are split.

    Returns:
      The new table [R, E]. It is bitwise the same for any number of devices, since gradients of
      equal ids are summed in the order of the global batch.
    """
    lr = jnp.asarray(lr, table.dtype)
    if not is_split(table.shape[0]):
        return _step(table, ids, row_gradients, lr, weight_decay, 0)
    step = jax.shard_map(
        functools.partial(_step_shard, weight_decay=weight_decay),
        mesh=mesh,
        in_specs=(ROWS, BATCH, BATCH, PartitionSpec()),
        out_specs=ROWS,
        # gathered values are the same on all devices, which JAX cannot verify
        check_vma=False,
    )
    return step(table, ids, row_gradients, lr)


def remap(table: jax.Array, rows: jax.Array, mesh: Mesh) -> jax.Array:
    """Makes a new table from an old one's rows, to grow, shrink or reorder it.

    Args:
      table: the old table [R, E].
      rows: int32 [new R], index of the old row for each new one; -1 for a row of zeros.
      mesh: mesh over which large tables are split.

    Returns:
      The new table [new R, E]. No device holds more than its share of the two tables.
    """
    zeros = jnp.asarray(0, table.dtype)
    if not is_split(table.shape[0]):
        found = jnp.take(table, jnp.maximum(rows, 0), axis=0, mode="clip")
        return jnp.where((rows >= 0)[:, None], found, zeros)
    fetch = jax.shard_map(_fetch_chunks, mesh=mesh, in_specs=(ROWS, ROWS), out_specs=ROWS)
    padded = jnp.pad(rows, (0, -rows.shape[0] % mesh.shape[TABLE]), constant_values=-1)
    return fetch(table, padded)[: rows.shape[0]]


def _fetch_chunks(shard: jax.Array, rows: jax.Array) -> jax.Array:
    """`_fetch` for many rows, one chunk after the other."""
    chunk = min(_CHUNK, rows.shape[0])
    padded = jnp.pad(rows, (0, -rows.shape[0] % chunk), constant_values=-1)
    found = jax.lax.map(functools.partial(_fetch, shard), padded.reshape(-1, chunk))
    return found.reshape(-1, shard.shape[1])[: rows.shape[0]]


def _fetch(shard: jax.Array, ids: jax.Array) -> jax.Array:
    """Runs on each device: fetches the rows of its ids [b] from all devices; zeros for id -1.

    Each device contributes the rows that it holds and zeros for the rest, and the sums are
    scattered. The sum is exact, since all terms but one are zero.
    """
    wanted = jax.lax.all_gather(ids, TABLE, tiled=True) - _first_row(shard)
    here = (wanted >= 0) & (wanted < shard.shape[0])
    rows = jnp.take(shard, wanted, axis=0, mode="clip")
    rows = jnp.where(here[:, None], rows, jnp.asarray(0, shard.dtype))
    return jax.lax.psum_scatter(rows, TABLE, tiled=True)


def _step_shard(
    shard: jax.Array, ids: jax.Array, row_gradients: jax.Array, lr: jax.Array, weight_decay: float
) -> jax.Array:
    """Runs on each device: updates its own rows with the gradients of the whole batch."""
    ids, row_gradients = (jax.lax.all_gather(a, SLOTS, tiled=True) for a in (ids, row_gradients))
    return _step(shard, ids, row_gradients, lr, weight_decay, _first_row(shard))


def _first_row(shard: jax.Array) -> jax.Array:
    """Index in the whole table of this device's first row."""
    return jax.lax.axis_index(TABLE) * shard.shape[0]


def _step(
    table: jax.Array,
    ids: jax.Array,
    row_gradients: jax.Array,
    lr: jax.Array,
    weight_decay: float,
    first_row: jax.Array | int,
) -> jax.Array:
    """`sign_sgd` on a part of the table that starts at row `first_row`; skips other ids."""
    slots, rows = ids.shape[0], table.shape[0]
    # `size` keeps the shape static: unused entries get an id that no row has
    unused = jnp.iinfo(ids.dtype).max
    touched, place = jnp.unique(ids, return_inverse=True, size=slots, fill_value=unused)
    summed = jax.ops.segment_sum(row_gradients, place, num_segments=slots)
    here = touched - first_row
    here = jnp.where((here >= 0) & (here < rows), here, rows)  # not negative, which would wrap
    old = jnp.take(table, here, axis=0, mode="clip")
    new = old * (1 - lr * weight_decay) - lr * jnp.sign(summed).astype(table.dtype)
    return table.at[here].set(new, mode="drop")
