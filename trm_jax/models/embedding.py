"""The embedding of a question: the puzzle table's row, then a vector for each cell."""

import functools

import jax
import jax.numpy as jnp
from flax import linen as nn

from trm_jax.core.numerics import truncated_normal, wide
from trm_jax.models.settings import ModelConfig


def rows_of(table: jax.Array, ids: jax.Array) -> jax.Array:
    """Rows [..., D] of a table [V, D] at ids [...].

    A product with one-hot rows, not a lookup: so the gradient is summed in float32 and in a fixed
    order, where a lookup's would be scattered, on a GPU in whatever order.
    """
    choice = jax.nn.one_hot(ids, len(table), dtype=table.dtype)
    return jnp.matmul(choice, table, precision=jax.lax.Precision.HIGHEST)


class Embedding(nn.Module):
    """x = sqrt(D) [prefix tokens ; token embeddings], learned positions added where chosen."""

    config: ModelConfig

    @nn.compact
    def __call__(self, inputs: jax.Array, rows: jax.Array) -> jax.Array:
        c = self.config
        init = functools.partial(truncated_normal, std=c.width**-0.5)
        table = self.param("tokens", init, (c.vocab, c.width)).astype(wide(c.dtype))
        x = rows_of(table, inputs).astype(c.dtype)
        if c.prefix_tokens:
            padding = c.prefix_tokens * c.width - rows.shape[1]
            prefix = jnp.pad(rows.astype(c.dtype), ((0, 0), (0, padding)))
            x = jnp.concatenate([prefix.reshape(-1, c.prefix_tokens, c.width), x], axis=1)
        if c.positions == "learned":
            positions = self.param("positions", init, (c.tokens, c.width)).astype(c.dtype)
            x = jnp.asarray(0.5**0.5, c.dtype) * (x + positions[None])
        return jnp.asarray(c.width**0.5, c.dtype) * x
