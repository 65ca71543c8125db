"""Layers that blocks share: linear maps and SwiGLUs, over channels or tokens.

Every layer keeps the shape of its input, has no bias and no norm weight, stores float32
parameters and computes in `dtype`. Shapes and order of operations follow the published code.
"""

import jax
import jax.numpy as jnp
from flax import linen as nn

from trm_jax.core.numerics import lecun_normal, rms_norm

INNER_MULTIPLE = 256


def inner_width(width: int, expansion: float) -> int:
    """Inner width of a SwiGLU: two thirds of `expansion * width`, rounded up to 256's multiple."""
    return -(-round(expansion * width * 2 / 3) // INNER_MULTIPLE) * INNER_MULTIPLE


class Linear(nn.Module):
    """x [..., inputs] @ kernel [inputs, outputs], the kernel cast to `dtype` where it is used."""

    outputs: int
    dtype: str

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        kernel = self.param("kernel", lecun_normal, (x.shape[-1], self.outputs))
        return x @ kernel.astype(self.dtype)


def gated(gate: jax.Array, up: jax.Array, kind: str, axis: int) -> jax.Array:
    """What a SwiGLU hands to its last matrix.

    Muon's steps do not see how large a matrix's inputs are, and with the plain product training
    diverges; with "norm" the product's size no longer matters.
    Source: "Speed is Confidence", arXiv 2601.19085, section 3.4.1, "Modified SwiGLU".

    Args:
      gate: of any shape.
      up: likewise.
      kind: "silu" for silu(gate) * up, as published; "norm" for sigmoid(gate) * rms(gate * up).
      axis: over which "norm" normalises, the inner width.

    Returns:
      Array of the same shape and dtype.
    """
    if kind == "norm":
        return nn.sigmoid(gate) * rms_norm(gate * up, axis=axis)
    return nn.silu(gate) * up


class SwiGLU(nn.Module):
    """down(silu(gate(x)) * up(x)) over the last axis; gate and up are one matrix, gate first.

    `gate` "norm" has another product in the middle, see `gated`.
    """

    expansion: float
    dtype: str
    gate: str = "silu"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        inner = inner_width(x.shape[-1], self.expansion)
        gate, up = jnp.split(Linear(2 * inner, self.dtype, name="gate_up")(x), 2, axis=-1)
        return Linear(x.shape[-1], self.dtype, name="down")(gated(gate, up, self.gate, -1))


class TokenLinear(nn.Module):
    """kernel [inputs, outputs], transposed, @ x [inputs, ...]: a `Linear` over the first axis."""

    outputs: int
    dtype: str

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        kernel = self.param("kernel", lecun_normal, (x.shape[0], self.outputs))
        mixed = kernel.astype(self.dtype).T @ x.reshape(x.shape[0], -1)
        return mixed.reshape(self.outputs, *x.shape[1:])


class TokenSwiGLU(nn.Module):
    """The same as `SwiGLU`, over the first axis: each channel of [L, B, D] mixes its L tokens."""

    expansion: float
    dtype: str
    gate: str = "silu"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        inner = inner_width(x.shape[0], self.expansion)
        gate, up = jnp.split(TokenLinear(2 * inner, self.dtype, name="gate_up")(x), 2, axis=0)
        return TokenLinear(x.shape[0], self.dtype, name="down")(gated(gate, up, self.gate, 0))
