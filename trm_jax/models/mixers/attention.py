"""Self-attention with rotary positions: the mixer of the published maze and ARC recipes."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from trm_jax.core.errors import UserError
from trm_jax.core.numerics import rms_norm, wide
from trm_jax.models.layers import Linear, SwiGLU
from trm_jax.models.mixers.mixer import Mixer, Published
from trm_jax.models.settings import ModelConfig, ModelSettings

ROTARY_THETA = 1e4


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


class AttentionBlock(nn.Module):
    """h = rms(h + mix(h)); h = rms(h + swiglu(h)), on [B, L, D]: post-norm, as published."""

    config: ModelConfig

    @nn.compact
    def __call__(self, h: jax.Array) -> jax.Array:
        c = self.config
        attention = Attention(c.heads, c.positions == "rotary", c.dtype, name="attention")
        h = rms_norm(h + attention(h))
        return rms_norm(h + SwiGLU(c.expansion, c.dtype, c.gate, name="mlp")(h))


class AttentionMixer(Mixer):
    """Every token sees every token."""

    block = AttentionBlock
    positions = ("none", "learned", "rotary")
    published = Published(
        module="self_attn",
        arrays=(("qkv_proj", ("attention", "qkv")), ("o_proj", ("attention", "out"))),
        flag="attn",
        positions="rotary",
    )

    def check(self, settings: ModelSettings) -> None:
        """See `Mixer`: rotary positions pair the channels of a head."""
        if settings.width % (2 * settings.heads):
            raise UserError(
                f"config.model.width {settings.width} is no multiple of twice config.model.heads "
                f"({settings.heads}); rotary positions need heads of even width."
            )

    def mixing_flops(self, config: ModelConfig) -> int:
        """See `Mixer`."""
        L, D = config.tokens, config.width
        return 2 * L * 4 * D**2 + 4 * L**2 * D

    def mixing_traffic(self, config: ModelConfig) -> int:
        """See `Mixer`: scores and weights [heads, L, L] go through memory too."""
        return 8 * config.tokens * config.width + 4 * config.heads * config.tokens**2
