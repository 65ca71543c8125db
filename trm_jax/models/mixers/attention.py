"""The attention mixer: self-attention with rotary positions, for the maze and ARC recipes."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import linen as nn

from trm_jax.core.errors import UserError
from trm_jax.core.numerics import rms_norm
from trm_jax.models import attend
from trm_jax.models.kernels import rotary_qkv
from trm_jax.models.kernels.target import fused
from trm_jax.models.layers import Linear, SwiGLU, Weight
from trm_jax.models.mixers.mixer import Mixer, Published
from trm_jax.models.rotary import rotary_tables, rotate
from trm_jax.models.settings import ModelConfig, ModelSettings


class Attention(nn.Module):
    """Self-attention over all tokens without a mask; one matrix computes q | k | v by heads."""

    config: ModelConfig

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        c = self.config
        batch, tokens, width = x.shape
        kernel = Weight(width, 3 * width, c.dtype, name="qkv")()
        name = attend.chosen(c, batch)
        q, k, v = self._queries_keys_values(x, kernel)
        mixed = attend.attend(q, k, v, c.tokens, name)
        mixed = mixed.reshape(batch, -1, width)
        return Linear(width, c.dtype, name="out")(mixed)[:, :tokens]

    def _queries_keys_values(self, x: jax.Array, kernel: jax.Array) -> Sequence[jax.Array]:
        """Queries, keys and values, each [B, L, heads, head_width]."""
        c = self.config
        batch, tokens, width = x.shape
        head_width = width // c.heads
        rotary = c.positions == "rotary"
        tables = rotary_tables(tokens, head_width)
        if rotary and fused(c.kernels) and rotary_qkv.takes(width, head_width):
            cos, sin = (jnp.asarray(table, "float32") for table in tables)
            return rotary_qkv.rotary_qkv(x, kernel, cos, sin, c.heads)
        qkv = (x @ kernel).reshape(batch, tokens, 3 * c.heads, head_width)
        q, k, v = jnp.split(qkv, 3, axis=2)
        return (rotate(q, *tables), rotate(k, *tables), v) if rotary else (q, k, v)


class AttentionBlock(nn.Module):
    """h = rms(h + mix(h)); h = rms(h + swiglu(h)), on [B, L, D]: post-norm, as published."""

    config: ModelConfig

    @nn.compact
    def __call__(self, h: jax.Array) -> jax.Array:
        c = self.config
        h = rms_norm(h + Attention(c, name="attention")(h))
        return rms_norm(h + SwiGLU(c.expansion, c.dtype, c.gate, c.kernels, name="mlp")(h))


class AttentionMixer(Mixer):
    """Mixes tokens by self-attention."""

    block = AttentionBlock
    positions = ("none", "learned", "rotary")
    published = Published(
        module="self_attn",
        arrays=(("qkv_proj", ("attention", "qkv")), ("o_proj", ("attention", "out"))),
        flag="attn",
        positions="rotary",
    )

    def check(self, settings: ModelSettings) -> None:
        """See `Mixer`: rotary positions need an even number of channels per head."""
        if settings.width % (2 * settings.heads):
            raise UserError(
                f"config.model.width is {settings.width}, which is not a multiple of twice "
                f"config.model.heads ({settings.heads}); rotary positions need heads of even width."
            )

    def enter(self, config: ModelConfig, h: jax.Array) -> jax.Array:
        """See `Mixer`: pads to the even number of tokens that cuDNN's attention requires."""
        return attend.even(h) if attend.chosen(config, h.shape[0]) == "cudnn" else h

    def leave(self, config: ModelConfig, h: jax.Array) -> jax.Array:
        """See `Mixer`."""
        return h[:, : config.tokens]

    def mixing_flops(self, config: ModelConfig) -> int:
        """See `Mixer`."""
        L, D = config.tokens, config.width
        return 2 * L * 4 * D**2 + 4 * L**2 * D

    def mixing_traffic(self, config: ModelConfig) -> int:
        """See `Mixer`: includes scores and attention weights [heads, L, L]."""
        return 8 * config.tokens * config.width + 4 * config.heads * config.tokens**2
