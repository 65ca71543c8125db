"""The layers of a block: SwiGLU over channels or tokens, attention with rotary positions.

Every layer keeps the shape of its input, has no bias and no norm weight, stores float32
parameters and computes in `dtype`. Shapes and order of operations follow the published code.
"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from trm_jax.core.numerics import lecun_normal, rms_norm, wide
from trm_jax.core.types import ModelConfig

INNER_MULTIPLE = 256
ROTARY_THETA = 1e4


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


def rotary_tables(tokens: int, head_width: int) -> tuple[np.ndarray, np.ndarray]:
    """Cosine and sine of the rotary angles, each float64 [tokens, head_width].

    Su et al., "RoFormer", arXiv 2104.09864, equation 34, in the halves convention: channel i is
    paired with channel i + head_width / 2, both turned by token / theta^(2 i / head_width).
    """
    frequencies = ROTARY_THETA ** -(np.arange(0, head_width, 2) / head_width)
    angles = np.tile(np.outer(np.arange(tokens), frequencies), (1, 2))
    return np.cos(angles), np.sin(angles)


def rotate(x: jax.Array, cos: np.ndarray, sin: np.ndarray) -> jax.Array:
    """Turns queries or keys x [B, L, heads, head_width] by the angles of their tokens."""
    compute = wide(x.dtype)
    first, second = jnp.split(x.astype(compute), 2, axis=-1)
    turned = jnp.concatenate([-second, first], axis=-1)
    c, s = (jnp.asarray(table, compute)[None, :, None, :] for table in (cos, sin))
    return (x.astype(compute) * c + turned * s).astype(x.dtype)


def attend(q: jax.Array, k: jax.Array, v: jax.Array) -> jax.Array:
    """softmax(q k^T / sqrt(head_width)) v, every token seeing every token.

    `jax.nn.dot_product_attention` takes its softmax in float32 even for float64 inputs, which
    would hide errors in the parity tests; for the other dtypes a test holds the two equal.

    Args:
      q: queries [B, L, heads, head_width].
      k: keys, likewise.
      v: values, likewise.

    Returns:
      Array of q's shape and dtype; the softmax is taken in `wide`.
    """
    compute = wide(q.dtype)
    scores = jnp.einsum("bqhd,bkhd->bhqk", q, k, preferred_element_type=compute)
    weights = jax.nn.softmax(scores * jnp.asarray(q.shape[-1] ** -0.5, compute), axis=-1)
    return jnp.einsum("bhqk,bkhd->bqhd", weights.astype(q.dtype), v)


class Attention(nn.Module):
    """Self-attention over all tokens, no mask; one matrix gives q | k | v, each by heads."""

    heads: int
    rotary: bool
    dtype: str

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        batch, tokens, width = x.shape
        head_width = width // self.heads
        qkv = Linear(3 * width, self.dtype, name="qkv")(x)
        qkv = qkv.reshape(batch, tokens, 3 * self.heads, head_width)
        q, k, v = jnp.split(qkv, 3, axis=2)
        if self.rotary:
            tables = rotary_tables(tokens, head_width)
            q, k = rotate(q, *tables), rotate(k, *tables)
        mixed = attend(q, k, v).reshape(batch, tokens, width)
        return Linear(width, self.dtype, name="out")(mixed)


class Block(nn.Module):
    """h = rms(h + mix(h)); h = rms(h + swiglu(h)): post-norm, as in the published code.

    Attention works on [B, L, D]. The token-mixing MLP works on [L, B, D], where it is a plain
    matrix product from the left and no transpose is needed anywhere; its residual is normalised
    over the token axis. See `swap_layout`.
    """

    config: ModelConfig

    @nn.compact
    def __call__(self, h: jax.Array) -> jax.Array:
        c = self.config
        if c.mixer == "mlp":
            mixed = TokenSwiGLU(c.expansion, c.dtype, c.gate, name="token_mlp")(h)
            h = rms_norm(h + mixed, axis=0)
        else:
            attention = Attention(c.heads, c.positions == "rotary", c.dtype, name="attention")
            h = rms_norm(h + attention(h))
        return rms_norm(h + SwiGLU(c.expansion, c.dtype, c.gate, name="mlp")(h))


class DigitBlock(nn.Module):
    """A block in which all digits of a Sudoku are alike, on [L, B, D] with a field for each digit.

    h = rms(h + mix(h)); h = rms(h + couple(mean of the other digits)); h = rms(h + swiglu(h)). The
    weights are the same for each field, so that renaming the digits of a question renames those of
    the answer and changes nothing else. The first norm is over the tokens, as in `Block`, the
    others are over a field's channels.
    Source: the "DEC" cell of Aakash-Marthandan/Fixed-Point-Reasoner-Structures, 2026, unpublished;
    width 1728, nine fields of 192, is its smaller one.
    """

    config: ModelConfig

    @nn.compact
    def __call__(self, h: jax.Array) -> jax.Array:
        c = self.config
        mixed = TokenSwiGLU(c.expansion, c.dtype, c.gate, name="token_mlp")(h)
        h = rms_norm(h + mixed, axis=0)
        digits = h.reshape(*h.shape[:2], c.fields, c.field_width)
        others = (digits.sum(axis=2, keepdims=True) - digits) / (c.fields - 1)
        digits = rms_norm(digits + Linear(c.field_width, c.dtype, name="couple")(others))
        channels = SwiGLU(c.expansion, c.dtype, c.gate, name="mlp")(digits)
        return rms_norm(digits + channels).reshape(h.shape)


class Network(nn.Module):
    """The tiny network: blocks, one after the other."""

    config: ModelConfig
    layers: int

    @nn.compact
    def __call__(self, h: jax.Array) -> jax.Array:
        block: type[nn.Module] = DigitBlock if self.config.mixer == "digits" else Block
        if self.config.remat == "block":
            block = nn.remat(block)
        for i in range(self.layers):
            h = block(self.config, name=f"block_{i}")(h)
        return h


def swap_layout(config: ModelConfig, h: jax.Array) -> jax.Array:
    """From [B, L, D] to the layout that the network of `config` works in, and back.

    That is [L, B, D] for the token-mixing MLPs, and [B, L, D] itself for attention. The published
    code transposes in every block instead; transposing once per supervision step takes 0.72 times
    as long for a block forward and backward (CPU, full size, batch 8).
    """
    return h if config.mixer == "attention" else h.swapaxes(0, 1)


def slots_axis(config: ModelConfig) -> int:
    """Where the batch slots lie in that layout."""
    return 0 if config.mixer == "attention" else 1
