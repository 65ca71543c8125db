"""The puzzle table: one learned row per puzzle id, with its own sparse optimizer.

Most steps touch few rows, so gradients and updates are by row: nothing the size of the table is
ever made besides the table itself.
"""

import jax
import jax.numpy as jnp


def init_table(rows: int, width: int) -> jax.Array:
    """float32 [R, E] of zeros, as published: an untrained row says nothing.

    Without a table (width 0) it is [1, 1] and never read: checkpoints cannot hold empty arrays.
    """
    return jnp.zeros((rows, width) if width else (1, 1), jnp.float32)


def lookup(table: jax.Array, ids: jax.Array) -> jax.Array:
    """Rows [B, E] of the table [R, E] for int32 ids [B]."""
    return jnp.take(table, ids, axis=0, mode="clip")


def sign_sgd(
    table: jax.Array, ids: jax.Array, row_gradients: jax.Array, lr: jax.Array, weight_decay: float
) -> jax.Array:
    """Sparse sign-SGD with decoupled decay, on the rows that this batch touched and no others.

    With G the sum of the gradients of all slots that share an id, over the whole global batch:
    p <- p (1 - lr wd) - lr sign(G). A touched row whose gradients cancel is still decayed.

    Args:
      table: [R, E].
      ids: int32 [B], the row of each slot; may repeat.
      row_gradients: [B, E], gradient of the loss by each slot's row.
      lr: scalar learning rate.
      weight_decay: wd.

    Returns:
      The new table [R, E].
    """
    slots, rows = ids.shape[0], table.shape[0]
    # `size` keeps the shape static: surplus places get the id R, which no row has
    touched, place = jnp.unique(ids, return_inverse=True, size=slots, fill_value=rows)
    summed = jax.ops.segment_sum(row_gradients, place, num_segments=slots)
    old = jnp.take(table, touched, axis=0, mode="clip")
    lr = jnp.asarray(lr, table.dtype)
    new = old * (1 - lr * weight_decay) - lr * jnp.sign(summed).astype(table.dtype)
    return table.at[touched].set(new, mode="drop")
