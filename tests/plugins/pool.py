"""A mixer in one file, as a user would bring it: every token sees the mean of all tokens."""

import jax
from flax import linen as nn

from trm_jax.core.numerics import rms_norm
from trm_jax.models.layers import Linear, SwiGLU
from trm_jax.models.mixers import MIXERS, Mixer
from trm_jax.models.settings import ModelConfig


class PoolBlock(nn.Module):
    """h = rms(h + linear(mean over tokens)); h = rms(h + swiglu(h)), on [B, L, D]."""

    config: ModelConfig

    @nn.compact
    def __call__(self, h: jax.Array) -> jax.Array:
        c = self.config
        h = rms_norm(h + Linear(c.width, c.dtype, name="pool")(h.mean(axis=1, keepdims=True)))
        return rms_norm(h + SwiGLU(c.expansion, c.dtype, c.gate, name="mlp")(h))


class PoolMixer(Mixer):
    block = PoolBlock
    positions = ("learned",)

    def mixing_flops(self, config: ModelConfig) -> int:
        return 2 * config.width**2

    def mixing_traffic(self, config: ModelConfig) -> int:
        return 2 * config.width


MIXERS.register("pool", PoolMixer())
