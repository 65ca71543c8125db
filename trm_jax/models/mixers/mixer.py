"""The interface of a mixer, the part of a network that mixes tokens, and its registry.

No other code depends on which mixer is used: block, layout, cost, supported settings, embedding,
answer head and names in published weights are methods and attributes of `Mixer`. `mlp.py`,
`attention.py` and `digits.py` are built in; a plugin (`core/registry.py`) adds one by a subclass
that it registers with `MIXERS.register`.
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
    """Names of a mixer in the published PyTorch code.

    Attributes:
      module: its module in a layer, as in `L_level.layers.0.mlp_t`.
      arrays: for each of its weights the published name and the path within our block.
      flag: value of the peer's flag --mixer (`trm bench --peer`).
      positions: value of `config.model.positions` in the published recipe.
    """

    module: str
    arrays: tuple[tuple[str, tuple[str, ...]], ...]
    flag: str
    positions: str


class Mixer:
    """A way to mix tokens; stateless.

    Attributes:
      block: Flax module of one block, constructed with a `ModelConfig`; it maps h in the mixer's
        layout to an array of the same shape and dtype.
      positions: supported values of `config.model.positions`.
      tokens_first: whether its layout is [L, B, D] instead of [B, L, D].
      published: names in the published code; None if it has no such mixer.
      alike_symbols: whether it is equivariant to renaming symbols from FIRST_DIGIT on, which
        requires a task with interchangeable symbols.
    """

    block: ClassVar[type[nn.Module]]
    positions: ClassVar[tuple[str, ...]] = ("none", "learned")
    tokens_first: ClassVar[bool] = False
    published: ClassVar[Published | None] = None
    alike_symbols: ClassVar[bool] = False

    def check(self, settings: ModelSettings) -> None:
        """Refuses settings that the mixer does not support, for puzzles of any shape.

        Raises:
          UserError: a setting is not supported; the message names it and what it must be.
        """

    def check_shapes(self, config: ModelConfig) -> None:
        """Refuses puzzles whose vocabulary or number of cells the mixer does not support."""

    def fields(self, config: ModelConfig) -> int:
        """Number of equal parts of a token's state that share their weights."""
        return 1

    def embedding(self, config: ModelConfig) -> nn.Module:
        """Module that maps token ids int32 [B, S] and table rows [B, E] to x [B, L, D]."""
        return Embedding(config)

    def answer_head(self, config: ModelConfig) -> nn.Module:
        """Module that maps the second output of `pool` to logits [B, S, V]."""
        return Linear(config.vocab, config.dtype)

    def pool(self, config: ModelConfig, y: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Inputs of the halting head [B, .] and of the answer head, from y [B, L, D]."""
        return y[:, 0], y[:, config.prefix_tokens :]

    def swap(self, h: jax.Array) -> jax.Array:
        """Converts [B, L, D] to the layout of the mixer's blocks, and back.

        The published code transposes in every block instead; transposing once per supervision step
        takes 0.72 times as long for a block forward and backward (CPU, full size, batch 8).
        """
        return h.swapaxes(0, 1) if self.tokens_first else h

    def enter(self, config: ModelConfig, h: jax.Array) -> jax.Array:
        """Converts h [B, L, D] to the form that a supervision step's blocks take."""
        return self.swap(h)

    def leave(self, config: ModelConfig, h: jax.Array) -> jax.Array:
        """Inverse of `enter`."""
        return self.swap(h)

    @property
    def slots_axis(self) -> int:
        """Axis of the batch slots in the mixer's layout."""
        return 1 if self.tokens_first else 0

    def mixing_flops(self, config: ModelConfig) -> int:
        """FLOPs (twice the multiply-adds) of one block's token mixing, for one example."""
        raise NotImplementedError

    def block_flops(self, config: ModelConfig) -> int:
        """FLOPs of a whole block: token mixing, and a SwiGLU over each field's channels."""
        L, D = config.tokens, config.width
        field = D // self.fields(config)
        return self.mixing_flops(config) + 2 * L * 3 * D * inner_width(field, config.expansion)

    def answer_flops(self, config: ModelConfig) -> int:
        """FLOPs of the answer head, for one example."""
        return 2 * config.tokens * config.width * config.vocab

    def mixing_traffic(self, config: ModelConfig) -> int:
        """Activations that the mixing's matrix products read and write, per block and example."""
        raise NotImplementedError

    def block_traffic(self, config: ModelConfig, norms: int = 2) -> int:
        """Activations that a whole block reads and writes forward, for one example.

        Each product reads its input and writes its output; gate and up are one output, which is
        read again by the gate. Each norm reads two summands and writes one array.
        """
        L, D, fields = config.tokens, config.width, self.fields(config)
        channels = 2 * L * D + 4 * L * fields * inner_width(D // fields, config.expansion)
        return channels + self.mixing_traffic(config) + norms * 3 * L * D

    def repeats_answers(self, config: ModelConfig, symmetry: str) -> bool:
        """Whether copies of a question by this kind of symmetry always get the same answer."""
        return False


MIXERS: Registry[Mixer] = Registry("config.model.mixer", "mixers", Mixer)


def refuse_setting(settings: ModelSettings, name: str, wanted: Any, why: str) -> None:
    """Refuses a setting that does not have the value that a mixer needs.

    Raises:
      UserError: the setting has another value.
    """
    value = getattr(settings, name)
    if value != wanted:
        raise UserError(f"config.model.{name} is {value!r}, and {why}; set it to {wanted!r}.")
