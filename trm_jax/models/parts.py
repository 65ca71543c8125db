"""The parts of every model: embedding, networks, and two heads."""

import functools

import jax
import jax.numpy as jnp
from flax import linen as nn

from trm_jax.core.grids import FIRST_DIGIT
from trm_jax.core.numerics import truncated_normal, wide
from trm_jax.core.types import ModelConfig, Output
from trm_jax.models.layers import Linear, Network, swap_layout

HALT_BIAS = -5.0


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


class DigitEmbedding(nn.Module):
    """x [B, S, D]: in each digit's field whether the cell is empty, has this digit, or another."""

    config: ModelConfig

    @nn.compact
    def __call__(self, inputs: jax.Array, rows: jax.Array) -> jax.Array:
        c = self.config
        init = functools.partial(truncated_normal, std=c.field_width**-0.5)
        table = self.param("roles", init, (3, c.field_width)).astype(wide(c.dtype))
        this = inputs[:, :, None] == jnp.arange(FIRST_DIGIT, c.vocab)[None, None]
        given = (inputs >= FIRST_DIGIT)[:, :, None]
        role = jnp.where(this, 1, jnp.where(given, 2, 0))
        x = rows_of(table, role).astype(c.dtype)
        return jnp.asarray(c.field_width**0.5, c.dtype) * x.reshape(*inputs.shape, c.width)


class DigitAnswer(nn.Module):
    """Logits [B, S, V] out of fields [B, S, digits, D / digits]: each digit's out of its own field.

    Those of the padding and the empty cell, which no answer has, are out of the fields' mean.
    """

    dtype: str

    @nn.compact
    def __call__(self, fields: jax.Array) -> jax.Array:
        others = Linear(FIRST_DIGIT, self.dtype, name="others")(fields.mean(axis=2))
        digits = Linear(1, self.dtype, name="digit")(fields)
        return jnp.concatenate([others, digits[..., 0]], axis=-1)


class HaltHead(nn.Module):
    """(halt, continue) logits float32 [B, 2] out of one vector; "surely not yet" at the start."""

    @nn.compact
    def __call__(self, token: jax.Array) -> jax.Array:
        kernel = self.param("kernel", nn.initializers.zeros_init(), (token.shape[-1], 2))
        bias = self.param("bias", nn.initializers.constant(HALT_BIAS), (2,))
        dtype = wide(token.dtype)
        logits = token.astype(dtype) @ kernel.astype(dtype) + bias.astype(dtype)[None]
        return logits.astype(jnp.float32)


class Parts(nn.Module):
    """Holds the parameters; what is done with them is in `trm_jax.models.model`.

    Attributes:
      config: of the model.
      networks: names of the networks; "y_network" has a depth of its own, `config.y_layers`.
    """

    config: ModelConfig
    networks: tuple[str, ...]

    def setup(self) -> None:
        c = self.config
        alike = c.mixer == "digits"
        self.embedding = DigitEmbedding(c) if alike else Embedding(c)
        for name in self.networks:
            setattr(self, name, Network(c, c.depth(name)))
        self.answer_head = DigitAnswer(c.dtype) if alike else Linear(c.vocab, c.dtype)
        self.halt_head = HaltHead()

    def __call__(self, inputs: jax.Array, rows: jax.Array) -> jax.Array:
        """Touches every parameter once, for `init`."""
        h = swap_layout(self.config, self.embed(inputs, rows))
        for name in self.networks:
            h = self.think(h, name)
        return self.read(swap_layout(self.config, h)).logits

    def embed(self, inputs: jax.Array, rows: jax.Array) -> jax.Array:
        """Embeds int32 [B, S] token ids behind [B, E] puzzle rows: [B, L, D]."""
        return self.embedding(inputs, rows)

    def think(self, h: jax.Array, name: str) -> jax.Array:
        """Applies a network once, in its own layout (`layers.swap_layout`)."""
        return getattr(self, name)(h)

    def read(self, y: jax.Array) -> Output:
        """Reads the answer from the cells, the halting logits from token 0 (digits: the mean)."""
        c = self.config
        if c.mixer == "digits":
            y = y.reshape(*y.shape[:2], c.fields, c.field_width)
            halt, logits = self.halt_head(y.mean(axis=(1, 2))), self.answer_head(y)
        else:
            halt, logits = self.halt_head(y[:, 0]), self.answer_head(y[:, c.prefix_tokens :])
        return Output(logits=logits, halt_logits=halt[:, 0], continue_logits=halt[:, 1])
