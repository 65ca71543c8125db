"""The Tiny Recursive Model: embedding, one network used recursively, two heads."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from trm_jax.layers import Linear, Network, swap_layout
from trm_jax.models.recursion import deep_recursion
from trm_jax.numerics import truncated_normal, wide
from trm_jax.types import Latents, ModelConfig, Output

HALT_BIAS = -5.0


class Embedding(nn.Module):
    """x = sqrt(D) [prefix tokens ; token embeddings], learned positions added where chosen."""

    config: ModelConfig

    @nn.compact
    def __call__(self, inputs: jax.Array, rows: jax.Array) -> jax.Array:
        c = self.config
        init = functools.partial(truncated_normal, std=c.width**-0.5)
        table = self.param("tokens", init, (c.vocab, c.width)).astype(wide(c.dtype))
        # A product with one-hot rows, not a lookup: so the gradient is summed in float32 and in a
        # fixed order, where a lookup's would be scattered, on a GPU in whatever order.
        choice = jax.nn.one_hot(inputs, c.vocab, dtype=table.dtype)
        x = jnp.matmul(choice, table, precision=jax.lax.Precision.HIGHEST).astype(c.dtype)
        if c.prefix_tokens:
            padding = c.prefix_tokens * c.width - rows.shape[1]
            prefix = jnp.pad(rows.astype(c.dtype), ((0, 0), (0, padding)))
            x = jnp.concatenate([prefix.reshape(-1, c.prefix_tokens, c.width), x], axis=1)
        if c.positions == "learned":
            positions = self.param("positions", init, (c.tokens, c.width)).astype(c.dtype)
            x = jnp.asarray(0.5**0.5, c.dtype) * (x + positions[None])
        return jnp.asarray(c.width**0.5, c.dtype) * x


class HaltHead(nn.Module):
    """(halt, continue) logits float32 [B, 2] out of one token; "surely not yet" at the start."""

    @nn.compact
    def __call__(self, token: jax.Array) -> jax.Array:
        kernel = self.param("kernel", nn.initializers.zeros_init(), (token.shape[-1], 2))
        bias = self.param("bias", nn.initializers.constant(HALT_BIAS), (2,))
        dtype = wide(token.dtype)
        logits = token.astype(dtype) @ kernel.astype(dtype) + bias.astype(dtype)[None]
        return logits.astype(jnp.float32)


class TRMParts(nn.Module):
    """Holds the parameters; what is done with them is in `TRM`."""

    config: ModelConfig

    def setup(self) -> None:
        self.embedding = Embedding(self.config)
        self.network = Network(self.config)
        self.answer_head = Linear(self.config.vocab, self.config.dtype)
        self.halt_head = HaltHead()

    def __call__(self, inputs: jax.Array, rows: jax.Array) -> jax.Array:
        """Touches every parameter once, for `init`."""
        h = swap_layout(self.config, self.embed(inputs, rows))
        return self.read(swap_layout(self.config, self.think(h))).logits

    def embed(self, inputs: jax.Array, rows: jax.Array) -> jax.Array:
        """Embeds int32 [B, S] token ids behind [B, E] puzzle rows: [B, L, D]."""
        return self.embedding(inputs, rows)

    def think(self, h: jax.Array) -> jax.Array:
        """Applies the network once, in its own layout (`layers.swap_layout`)."""
        return self.network(h)

    def read(self, y: jax.Array) -> Output:
        """Reads the answer from the cells' tokens and the halting logits from token 0."""
        halt = self.halt_head(y[:, 0])
        logits = self.answer_head(y[:, self.config.prefix_tokens :])
        return Output(logits=logits, halt_logits=halt[:, 0], continue_logits=halt[:, 1])


class TRM:
    """The model as pure functions of its parameters; holds nothing but its configuration.

    Every model in the registry has these four methods and no more.
    """

    def __init__(self, config: ModelConfig) -> None:
        self.config = config
        self._parts = TRMParts(config)

    def init(self, key: jax.Array) -> Any:
        """Draws the parameters, a tree of float32 arrays; `key` is consumed."""
        c = self.config
        inputs = jnp.zeros((1, c.cells), jnp.int32)
        rows = jnp.zeros((1, c.table_width), jnp.float32)
        return self._parts.init(key, inputs, rows)["params"]

    def initial_latents(self, key: jax.Array) -> Latents:
        """Draws the fixed initial vectors (y, z), each float32 [D]; never trained.

        Args:
          key: consumed.
        """
        keys = jax.random.split(key, 2)
        return tuple(truncated_normal(k, (self.config.width,), 1.0) for k in keys)

    def supervision_step(
        self, params: Any, latents: Latents, inputs: jax.Array, rows: jax.Array
    ) -> tuple[Latents, Output]:
        """One supervision step (design, section 3; paper, figure 3).

        Args:
          params: as from `init`.
          latents: (y, z), each [B, L, D].
          inputs: int32 [B, S].
          rows: [B, E], the puzzle-table rows of the examples; E = 0 without a table.

        Returns:
          The new (y, z), with gradient from the last recursion only, and what they say.
        """
        c = self.config
        parts = {"params": params}
        x: Any = self._parts.apply(parts, inputs, rows, method="embed")

        def net(variables: Any, h: jax.Array) -> Any:
            return self._parts.apply(variables, h, method="think")

        if c.remat == "net":
            net = jax.checkpoint(net)
        y, z, x = (swap_layout(c, state) for state in (*latents, x))
        y, z = deep_recursion(net, parts, y, z, x, T=c.T, n=c.n, unroll=c.unroll)
        y, z = swap_layout(c, y), swap_layout(c, z)
        output: Any = self._parts.apply(parts, y, method="read")
        return (y, z), output
