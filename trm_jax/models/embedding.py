"""The embedding of a question: prefix tokens from its puzzle-table row, then its cells."""

import functools

import jax
import jax.numpy as jnp
from flax import linen as nn

from trm_jax.core.numerics import truncated_normal, wide
from trm_jax.models.settings import ModelConfig


def rows_of(table: jax.Array, ids: jax.Array) -> jax.Array:
    """Looks up rows [..., D] of a table [V, D] by ids [...].

    It multiplies by one-hot vectors, so that the gradient is summed in float32 and in a fixed
    order. A gather's gradient is a scatter, whose order is not fixed on a GPU.
    """
    choice = jax.nn.one_hot(ids, len(table), dtype=table.dtype)
    return jnp.matmul(choice, table, precision=jax.lax.Precision.HIGHEST)


class Embedding(nn.Module):
    """x = sqrt(D) [prefix tokens ; token embeddings], with learned positions if configured."""

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
