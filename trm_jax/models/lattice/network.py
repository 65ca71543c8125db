"""The network of lattice deduction: pre-norm transformer blocks, looped, with three heads."""

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax import struct

from trm_jax.core.numerics import layer_norm, lecun_normal, truncated_normal, wide
from trm_jax.models.attend import attend
from trm_jax.models.settings import ModelConfig

EXPANSION = 4
CONFLICT_STD = 0.02
BYTES = 256


class Said(struct.PyTreeNode):
    """What the heads say after a loop.

    Attributes:
      candidates: float32 [B, S, C], logits that a candidate belongs to a solution.
      digits: float32 [B, S, C], logits of each cell's digit.
      conflict: float32 [B], logit that some cell has lost its true digit; -inf without a head.
    """

    candidates: jax.Array
    digits: jax.Array
    conflict: jax.Array


def drop(x: jax.Array, rate: float, keys: jax.Array | None) -> jax.Array:
    """Dropout of x [B, ...] with a random key for each slot, the same however slots are sharded.

    One random byte decides about an entry, so the rate is rounded to a 256th.

    Args:
      x: its last axis a multiple of four.
      rate: share that becomes zero.
      keys: [B]; None drops nothing.
    """
    threshold = round(rate * BYTES)
    if keys is None or not threshold:
        return x
    words = (*x.shape[1:-1], x.shape[-1] // 4)
    bits = jax.vmap(lambda key: jax.random.bits(key, words, jnp.uint32))(keys)
    kept = jax.lax.bitcast_convert_type(bits, jnp.uint8).reshape(x.shape) >= threshold
    return jnp.where(kept, x * jnp.asarray(BYTES / (BYTES - threshold), x.dtype), 0)


def fold(keys: jax.Array | None, number: int | jax.Array) -> jax.Array | None:
    """Other keys out of keys [B]."""
    return None if keys is None else jax.vmap(lambda key: jax.random.fold_in(key, number))(keys)


class LayerNorm(nn.Module):
    """Layer norm over the last axis with a scale and a bias."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        scale = self.param("scale", nn.initializers.ones_init(), (x.shape[-1],))
        bias = self.param("bias", nn.initializers.zeros_init(), (x.shape[-1],))
        return layer_norm(x, scale, bias)


class Block(nn.Module):
    """h + attention(norm(h)), then h + mlp(norm(h)), with GELU and biases; h is [B, L, D]."""

    config: ModelConfig
    attention: str

    @nn.compact
    def __call__(self, h: jax.Array, rate: float, keys: jax.Array | None) -> jax.Array:
        c, (slots, tokens, width) = self.config, h.shape

        def linear(outputs: int, name: str) -> nn.Dense:
            return nn.Dense(outputs, dtype=c.dtype, kernel_init=lecun_normal, name=name)

        qkv = linear(3 * width, "qkv")(LayerNorm(name="norm_attention")(h))
        qkv = qkv.reshape(slots, tokens, 3, c.heads, width // c.heads)
        mixed = attend(qkv[:, :, 0], qkv[:, :, 1], qkv[:, :, 2], tokens, self.attention)
        mixed = linear(width, "out")(mixed[:, :tokens].reshape(h.shape))
        h = h + drop(mixed, rate, fold(keys, 0))
        inner = nn.gelu(linear(EXPANSION * width, "up")(LayerNorm(name="norm_mlp")(h)))
        return h + drop(linear(width, "down")(inner), rate, fold(keys, 1))


class LatticeNetwork(nn.Module):
    """Holds the parameters; `trm_jax.models.lattice.lattice` loops over it.

    Attributes:
      config: of the model.
      side: rows and columns of a board.
      symbols: C, candidates of a cell.
      attention: which implementation, see `models.attend`.
    """

    config: ModelConfig
    side: int
    symbols: int
    attention: str

    def setup(self) -> None:
        c = self.config

        def linear(outputs: int) -> nn.Dense:
            return nn.Dense(outputs, dtype=c.dtype, kernel_init=lecun_normal)

        def normal(std: float, *shape: int) -> tuple[object, ...]:
            return (lambda key: truncated_normal(key, shape, std),)

        self.embedding = linear(c.width)
        self.rows = self.param("rows", *normal(1.0, self.side, c.width))
        self.columns = self.param("columns", *normal(1.0, self.side, c.width))
        if c.lattice.conflict_token:
            self.conflict_token = self.param("conflict_token", *normal(CONFLICT_STD, c.width))
            self.conflict_head = linear(1)
        self.blocks = [Block(c, self.attention) for _ in range(c.layers)]
        self.norm = LayerNorm()
        self.candidate_head = linear(self.symbols)
        self.digit_head = linear(self.symbols)

    def __call__(self, candidates: jax.Array) -> Said:
        """Touches every parameter once, for `init`."""
        h0 = self.embed(candidates)
        return self.read(*self.loop(jnp.zeros_like(h0), h0, 0.0, None))

    def embed(self, candidates: jax.Array) -> jax.Array:
        """h0 = Linear(s), [B, S, D], of candidates bool [B, S, C]."""
        return self.embedding(candidates.astype(self.config.dtype))

    def loop(
        self, h: jax.Array, h0: jax.Array, rate: float, keys: jax.Array | None
    ) -> tuple[jax.Array, jax.Array]:
        """One loop: u = h + h0; h = norm(u + blocks([u + row + column ; conflict token])).

        Args:
          h: [B, S, D], zeros at first.
          h0: [B, S, D], the embedded candidates.
          rate: of dropout.
          keys: random keys [B] for it; None drops nothing.

        Returns:
          The new h, and the conflict token's normalised state [B, D] (zeros where there is none).
        """
        c = self.config
        u = h + h0
        places = self.rows[:, None] + self.columns[None]
        x = u + places.reshape(1, -1, c.width).astype(c.dtype)
        if c.lattice.conflict_token:
            token = jnp.broadcast_to(
                self.conflict_token.astype(c.dtype)[None, None], (x.shape[0], 1, c.width)
            )
            x = jnp.concatenate([x, token], axis=1)
        for number, block in enumerate(self.blocks):
            x = block(x, rate, fold(keys, number))
        cells = h.shape[1]
        token = x[:, -1] if c.lattice.conflict_token else jnp.zeros_like(x[:, 0])
        return self.norm(u + x[:, :cells]), self.norm(token)

    def read(self, h: jax.Array, token: jax.Array) -> Said:
        """What the three heads say of the states after a loop."""
        dtype = wide(self.config.dtype)
        conflict = jnp.full(token.shape[:1], -jnp.inf, dtype)
        if self.config.lattice.conflict_token:
            conflict = self.conflict_head(token)[:, 0].astype(dtype)
        candidates, digits = self.candidate_head(h), self.digit_head(h)
        return Said(candidates.astype(dtype), digits.astype(dtype), conflict)
