"""The modules of every recursive model: embedding, networks, answer head and halting head."""

import jax
from flax import linen as nn

from trm_jax.core.numerics import wide
from trm_jax.core.types import Output
from trm_jax.models.mixers import MIXERS
from trm_jax.models.settings import ModelConfig

HALT_BIAS = -5.0


class Network(nn.Module):
    """A network: a sequence of blocks."""

    config: ModelConfig
    layers: int

    @nn.compact
    def __call__(self, h: jax.Array) -> jax.Array:
        block: type[nn.Module] = MIXERS.get(self.config.mixer).block
        if self.config.remat == "block":
            block = nn.remat(block)
        for i in range(self.layers):
            h = block(self.config, name=f"block_{i}")(h)
        return h


class HaltHead(nn.Module):
    """(halt, continue) logits float32 [B, 2] from one vector; initially they say "do not halt"."""

    @nn.compact
    def __call__(self, token: jax.Array) -> jax.Array:
        kernel = self.param("kernel", nn.initializers.zeros_init(), (token.shape[-1], 2))
        bias = self.param("bias", nn.initializers.constant(HALT_BIAS), (2,))
        dtype = wide(token.dtype)
        logits = token.astype(dtype) @ kernel.astype(dtype) + bias.astype(dtype)[None]
        return logits.astype("float32")


class Parts(nn.Module):
    """All modules with parameters; `trm_jax.models.model` calls their methods.

    Attributes:
      config: config of the model.
      networks: names of the networks; "y_network" has its own depth, `config.y_layers`.
    """

    config: ModelConfig
    networks: tuple[str, ...]

    def setup(self) -> None:
        c = self.config
        self.mixer = MIXERS.get(c.mixer)
        self.embedding = self.mixer.embedding(c)
        for name in self.networks:
            setattr(self, name, Network(c, c.depth(name)))
        self.answer_head = self.mixer.answer_head(c)
        self.halt_head = HaltHead()

    def __call__(self, inputs: jax.Array, rows: jax.Array) -> jax.Array:
        """Uses every parameter once, for `init`."""
        h = self.mixer.swap(self.embed(inputs, rows))
        for name in self.networks:
            h = self.think(h, name)
        return self.read(self.mixer.swap(h)).logits

    def embed(self, inputs: jax.Array, rows: jax.Array) -> jax.Array:
        """Embeds token ids int32 [B, S] and puzzle-table rows [B, E] as [B, L, D]."""
        return self.embedding(inputs, rows)

    def think(self, h: jax.Array, name: str) -> jax.Array:
        """Applies a network once, in its mixer's layout (`Mixer.swap`)."""
        return getattr(self, name)(h)

    def read(self, y: jax.Array) -> Output:
        """Computes answer and halting logits from y [B, L, D]."""
        first, cells = self.mixer.pool(self.config, y)
        halt, logits = self.halt_head(first), self.answer_head(cells)
        return Output(logits=logits, halt_logits=halt[:, 0], continue_logits=halt[:, 1])
