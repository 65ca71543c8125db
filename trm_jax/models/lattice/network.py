"""The network of lattice deduction: a looped pre-norm transformer with three heads."""

from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax import struct

from trm_jax.core.numerics import layer_norm, lecun_normal, normalised, truncated_normal, wide
from trm_jax.models.attend import attend
from trm_jax.models.kernels import add_affine, norm_mlp, norm_qkv
from trm_jax.models.kernels.row_blocks import CHANCES
from trm_jax.models.kernels.target import fused
from trm_jax.models.settings import ModelConfig

EXPANSION = 4
CONFLICT_STD = 0.02


class Said(struct.PyTreeNode):
    """Outputs of the three heads after a loop.

    Attributes:
      candidates: float32 [B, S, C], logits that a candidate belongs to a solution.
      digits: float32 [B, S, C], logits of each cell's digit.
      conflict: float32 [B], logit that some cell has lost its true digit; -inf without this head.
    """

    candidates: jax.Array
    digits: jax.Array
    conflict: jax.Array


def random_bytes(
    shape: tuple[int, ...], rate: float, keys: jax.Array | None
) -> tuple[jax.Array | None, int]:
    """Random bytes for dropout, and the threshold below which an entry is dropped.

    One byte decides about an entry, so that the rate is rounded to a multiple of 1/256. The bytes
    do not depend on the sharding of the slots.

    Args:
      shape: shape [B, ...] of the array to drop from; its last axis is a multiple of four.
      rate: dropout rate.
      keys: random keys [B], one for each slot; None for no dropout.

    Returns:
      uint8 array of `shape`, or None for no dropout, and the threshold.
    """
    threshold = round(rate * CHANCES)
    if keys is None or not threshold:
        return None, 0
    words = (*shape[1:-1], shape[-1] // 4)
    bits = jax.vmap(lambda key: jax.random.bits(key, words, jnp.uint32))(keys)
    return jax.lax.bitcast_convert_type(bits, jnp.uint8).reshape(shape), threshold


def drop(x: jax.Array, chances: jax.Array | None, threshold: int) -> jax.Array:
    """Applies dropout to x [B, ...] by the result of `random_bytes`."""
    if chances is None:
        return x
    scale = jnp.asarray(CHANCES / (CHANCES - threshold), x.dtype)
    return jnp.where(chances >= threshold, x * scale, 0)


Keys = TypeVar("Keys", jax.Array, jax.Array | None)


def fold(keys: Keys, number: int | jax.Array) -> Keys:
    """Folds a number into random keys [B]; None, for no randomness, stays None."""
    return None if keys is None else jax.vmap(lambda key: jax.random.fold_in(key, number))(keys)


class Scale(nn.Module):
    """Scale and bias parameters of a layer norm, float32 [D] each."""

    width: int

    @nn.compact
    def __call__(self) -> tuple[jax.Array, jax.Array]:
        scale = self.param("scale", nn.initializers.ones_init(), (self.width,))
        return scale, self.param("bias", nn.initializers.zeros_init(), (self.width,))


class Affine(nn.Module):
    """Kernel [inputs, outputs] and bias [outputs] parameters, float32."""

    inputs: int
    outputs: int

    @nn.compact
    def __call__(self) -> tuple[jax.Array, jax.Array]:
        kernel = self.param("kernel", lecun_normal, (self.inputs, self.outputs))
        return kernel, self.param("bias", nn.initializers.zeros_init(), (self.outputs,))


def behind_norm(scale: Scale, affine: Affine, dtype: str) -> tuple[jax.Array, jax.Array]:
    """Merges a norm's scale and bias into the affine map that follows; in `wide`.

    The backward pass then needs no sums over all tokens for the norm's gradients, which follow from
    the kernel's.
    """
    scales, shift, kernel, bias = (a.astype(wide(dtype)) for a in (*scale(), *affine()))
    return scales[:, None] * kernel, shift @ kernel + bias


@jax.custom_vjp
def gelu(x: jax.Array) -> jax.Array:
    """GELU, tanh approximation; the backward pass stores only x."""
    return nn.gelu(x)


def _gelu_gradient(x: jax.Array, d: jax.Array) -> tuple[jax.Array]:
    return jax.vjp(nn.gelu, x)[1](d)


gelu.defvjp(lambda x: (gelu(x), x), _gelu_gradient)


def rows(x: Any) -> Any:
    """Reshapes [B, L, D] to [B L, D], as kernels take it; None stays None."""
    return None if x is None else x.reshape(-1, x.shape[-1])


class Block(nn.Module):
    """h + attention(norm(h)), then h + mlp(norm(h)), with GELU and biases, on h [B, L, D]."""

    config: ModelConfig
    attention: str

    def setup(self) -> None:
        width = self.config.width
        self.norm_attention, self.norm_mlp = Scale(width), Scale(width)
        self.qkv, self.out = Affine(width, 3 * width), Affine(width, width)
        self.up, self.down = Affine(width, EXPANSION * width), Affine(EXPANSION * width, width)

    def __call__(self, h: jax.Array, rate: float, keys: jax.Array | None) -> jax.Array:
        c, (_, tokens, width) = self.config, h.shape
        kernels = fused(c.kernels) and norm_mlp.takes(width)
        for_mixed, for_mlp = (random_bytes(h.shape, rate, fold(keys, i)) for i in range(2))
        h, q, k, v = (self._fused_qkv if kernels else self._qkv)(h)
        mixed = attend(q, k, v, tokens, self.attention)[:, :tokens].reshape(h.shape)
        h = (self._fused_out if kernels else self._out)(h, mixed, *for_mixed)
        return (self._fused_mlp if kernels else self._mlp)(h, *for_mlp)

    def _affine(self, x: jax.Array, weights: tuple[jax.Array, jax.Array]) -> jax.Array:
        kernel, bias = (a.astype(self.config.dtype) for a in weights)
        return x @ kernel + bias[None, None]

    def _behind_norm(self, scale: Scale, affine: Affine) -> tuple[jax.Array, jax.Array]:
        return behind_norm(scale, affine, self.config.dtype)

    def _qkv(self, h: jax.Array) -> tuple[jax.Array, ...]:
        """h, and queries, keys and values [B, L, heads, head_width]."""
        qkv = self._affine(normalised(h), self._behind_norm(self.norm_attention, self.qkv))
        qkv = qkv.reshape(*h.shape[:2], 3, self.config.heads, -1)
        return h, qkv[:, :, 0], qkv[:, :, 1], qkv[:, :, 2]

    def _fused_qkv(self, h: jax.Array) -> tuple[jax.Array, ...]:
        weights = self._behind_norm(self.norm_attention, self.qkv)
        same, *qkv = norm_qkv.norm_qkv(rows(h), *weights)
        return same.reshape(h.shape), *(a.reshape(*h.shape[:2], self.config.heads, -1) for a in qkv)

    def _out(
        self, h: jax.Array, mixed: jax.Array, chances: jax.Array | None, threshold: int
    ) -> jax.Array:
        return h + drop(self._affine(mixed, self.out()), chances, threshold)

    def _fused_out(
        self, h: jax.Array, mixed: jax.Array, chances: jax.Array | None, threshold: int
    ) -> jax.Array:
        x, into, chances = (rows(a) for a in (mixed, h, chances))
        return add_affine.add_affine(into, x, *self.out(), chances, threshold).reshape(h.shape)

    def _mlp(self, h: jax.Array, chances: jax.Array | None, threshold: int) -> jax.Array:
        inner = gelu(self._affine(normalised(h), self._behind_norm(self.norm_mlp, self.up)))
        return h + drop(self._affine(inner, self.down()), chances, threshold)

    def _fused_mlp(self, h: jax.Array, chances: jax.Array | None, threshold: int) -> jax.Array:
        weights = norm_mlp.Weights(*self._behind_norm(self.norm_mlp, self.up), *self.down())
        return norm_mlp.norm_mlp(rows(h), weights, rows(chances), threshold).reshape(h.shape)


class LatticeNetwork(nn.Module):
    """All modules with parameters; `trm_jax.models.lattice.lattice_model` loops `loop`.

    Attributes:
      config: config of the model.
      side: number of rows, and of columns, of a board.
      symbols: number of candidates of a cell, C.
      attention: name of the attention implementation, see `models.attend`.
    """

    config: ModelConfig
    side: int
    symbols: int
    attention: str

    def setup(self) -> None:
        c = self.config

        def linear(outputs: int) -> nn.Dense:
            return nn.Dense(outputs, dtype=c.dtype, kernel_init=lecun_normal)

        def normal(std: float, *shape: int) -> Callable[[jax.Array], jax.Array]:
            return lambda key: truncated_normal(key, shape, std)

        self.embedding = linear(c.width)
        self.rows = self.param("rows", normal(1.0, self.side, c.width))
        self.columns = self.param("columns", normal(1.0, self.side, c.width))
        if c.lattice.conflict_token:
            self.conflict_token = self.param("conflict_token", normal(CONFLICT_STD, c.width))
            self.conflict_head = linear(1)
        self.blocks = [Block(c, self.attention) for _ in range(c.layers)]
        self.norm = Scale(c.width)
        self.candidate_head = linear(self.symbols)
        self.digit_head = linear(self.symbols)

    def __call__(self, candidates: jax.Array) -> Said:
        """Uses every parameter once, for `init`."""
        h0 = self.embed(candidates)
        return self.read(*self.loop(jnp.zeros_like(h0), h0, 0.0, None))

    def embed(self, candidates: jax.Array) -> jax.Array:
        """Embeds candidates bool [B, S, C]: h0 = Linear(s), [B, S, D]."""
        return self.embedding(candidates.astype(self.config.dtype))

    def loop(
        self, h: jax.Array, h0: jax.Array, rate: float, keys: jax.Array | None
    ) -> tuple[jax.Array, jax.Array]:
        """One loop: u = h + h0; h = norm(u + blocks([u + row + column ; conflict token])).

        Args:
          h: [B, S, D], zero in the first loop.
          h0: [B, S, D], the embedded candidates.
          rate: dropout rate.
          keys: random keys [B] for the dropout; None for no dropout.

        Returns:
          The new h, and the conflict token's normalised state [B, D], zero without such a token.
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
        scale = self.norm()
        return layer_norm(u + x[:, :cells], *scale), layer_norm(token, *scale)

    def read(self, h: jax.Array, token: jax.Array) -> Said:
        """Outputs of the three heads for the states after a loop."""
        dtype = wide(self.config.dtype)
        conflict = jnp.full(token.shape[:1], -jnp.inf, dtype)
        if self.config.lattice.conflict_token:
            conflict = self.conflict_head(token)[:, 0].astype(dtype)
        candidates, digits = self.candidate_head(h), self.digit_head(h)
        return Said(candidates.astype(dtype), digits.astype(dtype), conflict)
