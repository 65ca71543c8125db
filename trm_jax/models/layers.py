"""Layers that blocks share: linear maps and SwiGLUs, over channels or tokens.

No layer has a bias or a norm weight. Parameters are stored in float32, and layers compute in
`dtype`. Shapes and order of operations follow the published code.
"""

import jax
import jax.numpy as jnp
from flax import linen as nn

from trm_jax.core.numerics import lecun_normal, rms_norm
from trm_jax.models.kernels import row_swiglu, token_swiglu
from trm_jax.models.kernels.target import fused
from trm_jax.models.settings import PLAIN

INNER_MULTIPLE = 256


def inner_width(width: int, expansion: float) -> int:
    """Inner width of a SwiGLU: 2/3 of `expansion * width`, rounded up to a multiple of 256."""
    return -(-max(round(expansion * width * 2 / 3), 1) // INNER_MULTIPLE) * INNER_MULTIPLE


class Linear(nn.Module):
    """x [..., inputs] @ kernel [inputs, outputs], with the kernel cast to `dtype`."""

    outputs: int
    dtype: str

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        kernel = self.param("kernel", lecun_normal, (x.shape[-1], self.outputs))
        return x @ kernel.astype(self.dtype)


def gated(gate: jax.Array, up: jax.Array, kind: str, axis: int) -> jax.Array:
    """The gated product of a SwiGLU, the input of its down projection.

    Muon's update does not depend on the scale of a matrix's inputs, and training with the plain
    product diverges; "norm" removes the product's scale.
    Source: "Speed is Confidence", arXiv 2601.19085, section 3.4.1, "Modified SwiGLU".

    Args:
      gate: array of any shape.
      up: array of the same shape.
      kind: "silu" for silu(gate) * up, as published; "norm" for sigmoid(gate) * rms(gate * up).
      axis: axis of the inner width, over which "norm" normalises.

    Returns:
      Array of the same shape and dtype.
    """
    if kind == "norm":
        return nn.sigmoid(gate) * rms_norm(gate * up, axis=axis)
    return nn.silu(gate) * up


class Weight(nn.Module):
    """A kernel parameter [inputs, outputs], cast to `dtype`."""

    inputs: int
    outputs: int
    dtype: str

    @nn.compact
    def __call__(self) -> jax.Array:
        return self.param("kernel", lecun_normal, (self.inputs, self.outputs)).astype(self.dtype)


class SwiGLU(nn.Module):
    """down(silu(gate(x)) * up(x)) over the last axis; gate and up are one matrix, gate first.

    Attributes:
      expansion: see `inner_width`.
      dtype: dtype of the computation.
      gate: see `gated`.
      kernels: see `ModelSettings.kernels`.
    """

    expansion: float
    dtype: str
    gate: str = "silu"
    kernels: str = PLAIN

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        width = x.shape[-1]
        inner = inner_width(width, self.expansion)
        gate_up = Weight(width, 2 * inner, self.dtype, name="gate_up")()
        down = Weight(inner, width, self.dtype, name="down")()
        if fused(self.kernels) and row_swiglu.takes(width):
            return row_swiglu.row_swiglu(x.reshape(-1, width), gate_up, down).reshape(x.shape)
        gate, up = jnp.split(x @ gate_up, 2, axis=-1)
        return gated(gate, up, self.gate, -1) @ down


class TokenMlp(nn.Module):
    """rms(h + swiglu(h)) over the first axis of h [L, B, D]: each channel mixes its L tokens.

    Attributes: see `SwiGLU`.
    """

    expansion: float
    dtype: str
    gate: str = "silu"
    kernels: str = PLAIN

    @nn.compact
    def __call__(self, h: jax.Array) -> jax.Array:
        tokens, flat = h.shape[0], h.reshape(h.shape[0], -1)
        inner = inner_width(tokens, self.expansion)
        gate_up = Weight(tokens, 2 * inner, self.dtype, name="gate_up")()
        down = Weight(inner, tokens, self.dtype, name="down")()
        if fused(self.kernels) and token_swiglu.takes(tokens):
            return token_swiglu.token_swiglu(flat, gate_up, down).reshape(h.shape)
        gate, up = jnp.split(gate_up.T @ flat, 2, axis=0)
        mixed = down.T @ gated(gate, up, self.gate, 0)
        return rms_norm(h + mixed.reshape(h.shape), axis=0)
