"""The MLP mixer: a SwiGLU over the tokens, for the Sudoku recipe."""

import jax
from flax import linen as nn

from trm_jax.core.numerics import rms_norm
from trm_jax.models.layers import SwiGLU, TokenMlp, inner_width
from trm_jax.models.mixers.mixer import Mixer, Published
from trm_jax.models.settings import ModelConfig


class MlpBlock(nn.Module):
    """h = rms(h + mix(h)); h = rms(h + swiglu(h)), on [L, B, D]: post-norm, as published.

    In the layout [L, B, D], mixing tokens is a matrix product from the left and needs no
    transpose. The residual of the mixing is normalised over the token axis.
    """

    config: ModelConfig

    @nn.compact
    def __call__(self, h: jax.Array) -> jax.Array:
        c = self.config
        h = TokenMlp(c.expansion, c.dtype, c.gate, c.kernels, name="token_mlp")(h)
        return rms_norm(h + SwiGLU(c.expansion, c.dtype, c.gate, c.kernels, name="mlp")(h))


class MlpMixer(Mixer):
    """Mixes the L tokens of each channel by a SwiGLU."""

    block = MlpBlock
    tokens_first = True
    published = Published(
        module="mlp_t",
        arrays=(
            ("gate_up_proj", ("token_mlp", "gate_up")),
            ("down_proj", ("token_mlp", "down")),
        ),
        flag="mlp",
        positions="none",
    )

    def mixing_flops(self, config: ModelConfig) -> int:
        """See `Mixer`."""
        return 2 * config.width * 3 * config.tokens * inner_width(config.tokens, config.expansion)

    def mixing_traffic(self, config: ModelConfig) -> int:
        """See `Mixer`."""
        L, D = config.tokens, config.width
        return 2 * L * D + 4 * D * inner_width(L, config.expansion)
