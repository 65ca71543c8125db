"""The digits mixer: the MLP mixer with a field for each digit, equivariant to their renaming.

Source: the "DEC" cell of Aakash-Marthandan/Fixed-Point-Reasoner-Structures, 2026, unpublished;
its smaller network has width 1728, nine fields of 192.
"""

import functools

import jax
import jax.numpy as jnp
from flax import linen as nn

from trm_jax.core.errors import UserError
from trm_jax.core.numerics import rms_norm, truncated_normal, wide
from trm_jax.core.symmetries import FIRST_DIGIT
from trm_jax.models.embedding import rows_of
from trm_jax.models.layers import Linear, SwiGLU, TokenMlp, inner_width
from trm_jax.models.mixers.mixer import Mixer, refuse_setting
from trm_jax.models.settings import ModelConfig, ModelSettings


def digit_count(config: ModelConfig) -> int:
    """Number of digits, each with its own field of the state."""
    return config.vocab - FIRST_DIGIT


def field_width(config: ModelConfig) -> int:
    """Width of a digit's field, in channels."""
    return config.width // digit_count(config)


class DigitBlock(nn.Module):
    """A block on [L, B, D] with a field for each digit.

    h = rms(h + mix(h)); h = rms(h + couple(mean of the other digits)); h = rms(h + swiglu(h)). All
    fields share their weights, so that renaming the digits of the question renames those of the
    answer and has no other effect. The first norm is over the tokens, as in `mlp.MlpBlock`, the
    others are over a field's channels.
    """

    config: ModelConfig

    @nn.compact
    def __call__(self, h: jax.Array) -> jax.Array:
        c, count, width = self.config, digit_count(self.config), field_width(self.config)
        h = TokenMlp(c.expansion, c.dtype, c.gate, c.kernels, name="token_mlp")(h)
        digits = h.reshape(*h.shape[:2], count, width)
        others = (digits.sum(axis=2, keepdims=True) - digits) / (count - 1)
        digits = rms_norm(digits + Linear(width, c.dtype, name="couple")(others))
        channels = SwiGLU(c.expansion, c.dtype, c.gate, c.kernels, name="mlp")(digits)
        return rms_norm(digits + channels).reshape(h.shape)


class DigitEmbedding(nn.Module):
    """x [B, S, D]: each digit's field encodes that the cell is empty, has this digit or another."""

    config: ModelConfig

    @nn.compact
    def __call__(self, inputs: jax.Array, rows: jax.Array) -> jax.Array:
        c, width = self.config, field_width(self.config)
        init = functools.partial(truncated_normal, std=width**-0.5)
        table = self.param("roles", init, (3, width)).astype(wide(c.dtype))
        this = inputs[:, :, None] == jnp.arange(FIRST_DIGIT, c.vocab)[None, None]
        given = (inputs >= FIRST_DIGIT)[:, :, None]
        role = jnp.where(this, 1, jnp.where(given, 2, 0))
        x = rows_of(table, role).astype(c.dtype)
        return jnp.asarray(width**0.5, c.dtype) * x.reshape(*inputs.shape, c.width)


class DigitAnswer(nn.Module):
    """Logits [B, S, V] from fields [B, S, digits, D / digits], each digit's from its own field.

    The logits of padding and empty cell, which answers do not contain, are from the fields' mean.
    """

    dtype: str

    @nn.compact
    def __call__(self, fields: jax.Array) -> jax.Array:
        others = Linear(FIRST_DIGIT, self.dtype, name="others")(fields.mean(axis=2))
        digits = Linear(1, self.dtype, name="digit")(fields)
        return jnp.concatenate([others, digits[..., 0]], axis=-1)


class DigitsMixer(Mixer):
    """The MLP mixer for puzzles with interchangeable digits; no puzzle table, no positions."""

    block = DigitBlock
    positions = ("none",)
    tokens_first = True
    alike_symbols = True

    def check(self, settings: ModelSettings) -> None:
        """See `Mixer`: a puzzle-table row would distinguish the digits."""
        refuse_setting(
            settings, "prefix_tokens", 0, "the digits mixer does not support a puzzle table"
        )

    def check_shapes(self, config: ModelConfig) -> None:
        """See `Mixer`."""
        count = digit_count(config)
        if count < 2 or config.width % count:
            raise UserError(
                f"config.model.width is {config.width}, which the digits mixer cannot divide into "
                f"{count} fields, one for each digit; choose a multiple of {max(count, 2)}."
            )

    def fields(self, config: ModelConfig) -> int:
        """See `Mixer`: one field for each digit."""
        return digit_count(config)

    def embedding(self, config: ModelConfig) -> nn.Module:
        """See `Mixer`."""
        return DigitEmbedding(config)

    def answer_head(self, config: ModelConfig) -> nn.Module:
        """See `Mixer`."""
        return DigitAnswer(config.dtype)

    def pool(self, config: ModelConfig, y: jax.Array) -> tuple[jax.Array, jax.Array]:
        """See `Mixer`: the halting head reads the mean over cells and digits."""
        y = y.reshape(*y.shape[:2], digit_count(config), field_width(config))
        return y.mean(axis=(1, 2)), y

    def mixing_flops(self, config: ModelConfig) -> int:
        """See `Mixer`: the token MLP and the coupling of the digits."""
        L, D = config.tokens, config.width
        tokens = 2 * D * 3 * L * inner_width(L, config.expansion)
        return tokens + 2 * L * D * field_width(config)

    def answer_flops(self, config: ModelConfig) -> int:
        """See `Mixer`."""
        return 2 * config.tokens * (config.width + FIRST_DIGIT * field_width(config))

    def mixing_traffic(self, config: ModelConfig) -> int:
        """See `Mixer`."""
        L, D = config.tokens, config.width
        return 2 * L * D + 4 * D * inner_width(L, config.expansion) + 2 * L * D

    def block_traffic(self, config: ModelConfig, norms: int = 3) -> int:
        """See `Mixer`: a block has a third norm."""
        return super().block_traffic(config, norms)

    def repeats_answers(self, config: ModelConfig, symmetry: str) -> bool:
        """See `Mixer`: renaming digits renames the answer, unless initial states are random."""
        return symmetry == "digits" and config.start == "fixed"
