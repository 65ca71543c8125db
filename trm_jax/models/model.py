"""The recursive models (TRM, HRM and variants): their parts, combined by a `Variant`."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from trm_jax.core.numerics import truncated_normal
from trm_jax.core.types import Latents, Output
from trm_jax.models.mixers import MIXERS
from trm_jax.models.parts import Parts
from trm_jax.models.recursion import Depth, Network, Networks, Noise
from trm_jax.models.settings import ModelConfig
from trm_jax.models.variants import Variant

EVALUATION_SEED = 0
"""Seed of the initial states in evaluation, if training draws random ones."""


class Model:
    """A recursive model: pure functions of its parameters, without state of its own.

    Attributes:
      learner: name in `train.learners` of the way it is trained.
    """

    learner = "supervision"

    def __init__(self, config: ModelConfig, variant: Variant) -> None:
        self.config = config
        self.variant = variant
        self.mixer = MIXERS.get(config.mixer)
        self.mixer.check_shapes(config)
        self.state_names = variant.state_names(config.n)
        # With N = 1 there is no next step; the published code has no continue loss then.
        self.learns_to_continue = variant.continue_loss and config.N > 1
        self._parts = Parts(config, tuple(dict.fromkeys(variant.networks)))

    def init(self, key: jax.Array) -> Any:
        """Initialises the parameters, a tree of float32 arrays."""
        c = self.config
        inputs = jnp.zeros((1, c.cells), jnp.int32)
        rows = jnp.zeros((1, c.table_width), jnp.float32)
        return self._parts.init(key, inputs, rows)["params"]

    def initial_latents(self, key: jax.Array) -> Latents:
        """Draws the fixed initial vector of each state, float32 [D]; they are never trained.

        If a state consists of several equal fields (`Mixer.fields`), all of them start equal.

        Args:
          key: random key.
        """
        keys = jax.random.split(key, len(self.state_names))
        c = self.config
        count = self.mixer.fields(c)
        fields = (truncated_normal(k, (c.width // count,), 1.0) for k in keys)
        return tuple(jnp.tile(field, count) for field in fields)

    def evaluation_start(self, initial: Sequence[jax.Array]) -> Latents:
        """Initial states in evaluation, the same for all examples.

        Args:
          initial: the fixed initial vectors, each [D].

        Returns:
          One array for each state, to be broadcast to [B, L, D]: the fixed vectors [1, 1, D], or
          if training draws random states, a fixed draw [1, L, D].
        """
        if self.config.start == "fixed":
            return tuple(vector[None, None] for vector in initial)
        keys = jax.random.split(jax.random.key(EVALUATION_SEED), len(initial))
        shape = (self.config.tokens, self.config.width)
        return tuple(truncated_normal(key, shape, 1.0)[None] for key in keys)

    def start(self, initial: Sequence[jax.Array], inputs: jax.Array) -> Latents:
        """Initial states [B, L, D] for questions int32 [B, S] in evaluation."""
        c = self.config
        shape = (inputs.shape[0], c.tokens, c.width)
        begin = self.evaluation_start(initial)
        return tuple(jnp.broadcast_to(v.astype(c.dtype), shape) for v in begin)

    def supervision_step(
        self,
        params: Any,
        latents: Latents,
        inputs: jax.Array,
        rows: jax.Array,
        noise_keys: jax.Array | None = None,
    ) -> tuple[Latents, Output]:
        """One supervision step (paper, figure 3).

        Args:
          params: parameters, see `init`.
          latents: one array [B, L, D] for each of `state_names`.
          inputs: int32 [B, S], token ids of the questions.
          rows: [B, E], the puzzle-table rows of the examples; E = 0 without a table.
          noise_keys: random keys [B] for noise on the states in training; None for no noise.

        Returns:
          The new latents, whose gradient passes only through the variant's last updates, and the
          outputs of the heads.
        """
        c = self.config
        noise = None
        if noise_keys is not None:
            noise = Noise(c.noise, noise_keys, axis=self.mixer.slots_axis)
        x: Any = self._parts.apply({"params": params}, inputs, rows, method="embed")
        *states, x = (self.mixer.enter(c, state) for state in (*latents, x))
        new = self.variant.gradient(
            self.variant.recursion,
            self._networks(params),
            self._networks(jax.lax.stop_gradient(params)),
            tuple(states),
            x,
            Depth(c.T, c.n, c.unroll, c.damping, noise),
        )
        new = tuple(self.mixer.leave(c, state) for state in new)
        output: Any = self._parts.apply({"params": params}, new[0], method="read")
        return new, output

    def wants_to_halt(self, output: Output) -> jax.Array:
        """Whether the halting head predicts that the answer is right, bool [B]."""
        if self.variant.compares:
            return output.halt_logits > output.continue_logits
        return output.halt_logits > 0

    def _networks(self, params: Any) -> Networks:
        """The networks that update z and y, bound to their parameters."""

        def bind(name: str) -> Network:
            def net(parts: Any, h: jax.Array) -> Any:
                return self._parts.apply(parts, h, name, method="think")

            if self.config.remat == "net":
                net = jax.checkpoint(net)
            return lambda h: net({"params": params}, h)

        return Networks(*(bind(name) for name in self.variant.networks))

    def step_flops(self, batch_size: int, train: bool, chains: int = 1) -> int:
        """FLOPs (twice the multiply-adds) of the matrix products of one supervision step.

        A backward pass counts as two forward passes. TRM has T (n + 1) network evaluations forward
        and the last n + 1 of them backward. The continue loss adds a further forward step; several
        chains add a forward step of each before the winner's. Recomputation due to `remat` is not
        counted.
        """
        config = self.config
        forward, backward = self.variant.updates(config.T, config.n)
        depths = [config.depth(network) for network in self.variant.networks]
        ahead = 2 if train and self.learns_to_continue else 1
        ahead += chains if chains > 1 else 0
        blocks = sum(depth * ahead * calls for depth, calls in zip(depths, forward, strict=True))
        if train:
            blocks += sum(depth * 2 * calls for depth, calls in zip(depths, backward, strict=True))
        head = self.mixer.answer_flops(config) * (ahead + (2 if train else 0))
        return batch_size * (blocks * self.mixer.block_flops(config) + head)
