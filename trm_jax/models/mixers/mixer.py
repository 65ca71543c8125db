"""What a mixer is: all that differs between networks that mix tokens in different ways.

A mixer is one object in one registry. Nothing else in the library asks which one it is: a block,
its layout, its cost, what it refuses, how it embeds and answers, and its names in published weights
are methods and attributes here. `mlp.py`, `attention.py` and `digits.py` are the built-in ones;
another one is a subclass in a plugin (`core/registry.py`), registered by `MIXERS.register`.
"""

from typing import Any, ClassVar, NamedTuple

import jax
from flax import linen as nn

from trm_jax.core.errors import UserError
from trm_jax.core.registry import Registry
from trm_jax.models.embedding import Embedding
from trm_jax.models.layers import Linear, inner_width
from trm_jax.models.settings import ModelConfig, ModelSettings


class Published(NamedTuple):
    """How the published PyTorch code knows a mixer.

    Attributes:
      module: its name in a layer, as in `L_level.layers.0.mlp_t`.
      arrays: of each of its weights, the name there and our path within a block.
      flag: what a peer's --mixer is (`trm bench --peer`).
      positions: the positions that the published recipe uses with it.
    """

    module: str
    arrays: tuple[tuple[str, tuple[str, ...]], ...]
    flag: str
    positions: str


class Mixer:
    """One way to mix tokens; stateless.

    Attributes:
      block: Flax module of one block, made with a `ModelConfig`; called on h in the mixer's layout,
        it gives an array of the same shape and dtype.
      positions: values of `config.model.positions` that it can use.
      tokens_first: its layout is [L, B, D]; else [B, L, D].
      published: None where the published code has no such mixer.
      alike_symbols: it treats all symbols from FIRST_DIGIT on alike, which the task has to as well.
    """

    block: ClassVar[type[nn.Module]]
    positions: ClassVar[tuple[str, ...]] = ("none", "learned")
    tokens_first: ClassVar[bool] = False
    published: ClassVar[Published | None] = None
    alike_symbols: ClassVar[bool] = False

    def check(self, settings: ModelSettings) -> None:
        """Refuses settings that it cannot use, whatever the puzzles.

        Raises:
          UserError: names the setting and what it must be.
        """

    def check_shapes(self, config: ModelConfig) -> None:
        """The same of what depends on the puzzles' vocabulary and cells."""

    def fields(self, config: ModelConfig) -> int:
        """Number of equal parts of a token's state that share their weights."""
        return 1

    def embedding(self, config: ModelConfig) -> nn.Module:
        """Module from token ids int32 [B, S] and table rows [B, E] to x [B, L, D]."""
        return Embedding(config)

    def answer_head(self, config: ModelConfig) -> nn.Module:
        """Module from what `pool` gives it to logits [B, S, V]."""
        return Linear(config.vocab, config.dtype)

    def pool(self, config: ModelConfig, y: jax.Array) -> tuple[jax.Array, jax.Array]:
        """What the halting head [B, .] and the answer head read of y [B, L, D]."""
        return y[:, 0], y[:, config.prefix_tokens :]

    def swap(self, h: jax.Array) -> jax.Array:
        """From [B, L, D] to the layout of the mixer's blocks, and back.

        The published code transposes in every block instead; transposing once per supervision step
        takes 0.72 times as long for a block forward and backward (CPU, full size, batch 8).
        """
        return h.swapaxes(0, 1) if self.tokens_first else h

    def enter(self, config: ModelConfig, h: jax.Array) -> jax.Array:
        """H [B, L, D] as the blocks of a supervision step want it; `leave` undoes it."""
        return self.swap(h)

    def leave(self, config: ModelConfig, h: jax.Array) -> jax.Array:
        """Back from `enter`."""
        return self.swap(h)

    @property
    def slots_axis(self) -> int:
        """Axis of the batch slots in that layout."""
        return 1 if self.tokens_first else 0

    def mixing_flops(self, config: ModelConfig) -> int:
        """Multiply-adds times two of one block's mixing, for one example."""
        raise NotImplementedError

    def block_flops(self, config: ModelConfig) -> int:
        """The same of the whole block: mixing, and a SwiGLU over each field's channels."""
        L, D = config.tokens, config.width
        field = D // self.fields(config)
        return self.mixing_flops(config) + 2 * L * 3 * D * inner_width(field, config.expansion)

    def answer_flops(self, config: ModelConfig) -> int:
        """The same of the answer head."""
        return 2 * config.tokens * config.width * config.vocab

    def mixing_traffic(self, config: ModelConfig) -> int:
        """Activations in and out of the mixing's products, one block forward, one example."""
        raise NotImplementedError

    def block_traffic(self, config: ModelConfig, norms: int = 2) -> int:
        """The same of the whole block.

        Each product reads its input and writes its output, gate and up being one output that is
        read again where they meet; each norm reads two summands and writes one.
        """
        L, D, fields = config.tokens, config.width, self.fields(config)
        channels = 2 * L * D + 4 * L * fields * inner_width(D // fields, config.expansion)
        return channels + self.mixing_traffic(config) + norms * 3 * L * D

    def repeats_answers(self, config: ModelConfig, symmetry: str) -> bool:
        """Whether copies of a question by this kind of symmetry are all answered alike."""
        return False


MIXERS: Registry[Mixer] = Registry("config.model.mixer", "mixers", Mixer)


def refuse_setting(settings: ModelSettings, name: str, wanted: Any, why: str) -> None:
    """Refuses a setting that is not what a mixer needs.

    Raises:
      UserError: it is something else.
    """
    value = getattr(settings, name)
    if value != wanted:
        raise UserError(f"config.model.{name} is {value!r}, and {why}; set it to {wanted!r}.")
