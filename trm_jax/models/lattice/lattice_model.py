"""The lattice model: its network is looped on candidate sets, one round at a time.

    s     candidates, bool [B, S, C]; one for a given, all for an empty cell; only ever removed
    h     latent state, [B, S, D], zero at the start of each round
    n     loops of the network in a round, config.model.n
    N     rounds without search, config.model.N

A round corresponds to TRM's supervision step: the network reads s, candidates are eliminated, and
one cell is guessed.
Source: "Lattice Deduction Transformers", arXiv 2605.08605.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from trm_jax.core.errors import UserError
from trm_jax.core.symmetries import FIRST_DIGIT
from trm_jax.core.types import Latents, Output
from trm_jax.models import attend
from trm_jax.models.lattice.deduce import eliminate, guess
from trm_jax.models.lattice.loss import Losses, Truth, loop_losses
from trm_jax.models.lattice.network import EXPANSION, LatticeNetwork, Said, fold
from trm_jax.models.settings import FUSED, PLAIN, ModelConfig, ModelSettings

KIND = "lattice"
SURE = 10.0
"""Bound of the halting logits; the halting logit of a state that is not solved is minus this."""

NEEDED = {
    "mixer": "attention",
    "positions": "learned",
    "prefix_tokens": 0,
    "row_width": 0,
    "expansion": float(EXPANSION),
    "gate": "silu",
    "start": "fixed",
    "T": 1,
}
"""Values that a lattice model requires of the settings that all models share. Settings that it does
not use must have their default."""


def check(settings: ModelSettings) -> None:
    """Refuses settings that a lattice model does not support.

    Raises:
      UserError: a setting is not supported; the message names it and what it must be.
    """
    wrong = {name: wanted for name, wanted in NEEDED.items() if getattr(settings, name) != wanted}
    if wrong:
        flags = " ".join(f"--config.model.{name}={wanted}" for name, wanted in wrong.items())
        raise UserError(f"config.model.kind is {KIND!r}, which needs {flags}; set these as well.")
    if settings.width % (4 * settings.heads):
        raise UserError(
            f"config.model.width is {settings.width}, which must be a multiple of four times the "
            f"{settings.heads} heads; change it or config.model.heads."
        )
    if settings.kernels == FUSED and settings.dtype == "float64":
        raise UserError(
            f"config.model.kernels is {FUSED!r}, whose sums are float32, and the dtype is float64; "
            f"set it to {PLAIN!r}."
        )
    standard = ModelSettings()
    for name in ("noise", "damping", "y_layers", "halt_exploration"):
        value, default = getattr(settings, name), getattr(standard, name)
        if value != default:
            raise UserError(
                f"config.model.{name} is {value}, which a {KIND!r} model does not use; set it to "
                f"{default}."
            )


class LatticeModel:
    """A lattice model: pure functions of its parameters, without state of its own."""

    state_names = ("candidates",)
    learns_to_continue = False
    learner = "pool"

    def __init__(self, config: ModelConfig) -> None:
        """Makes the model of a config.

        Raises:
          UserError: settings are not supported, the board is not square, or there are fewer than
            two symbols.
        """
        check(config)
        self.config = config
        self.symbols = config.vocab - FIRST_DIGIT
        self.side = math.isqrt(config.cells)
        if self.side**2 != config.cells or self.symbols < 2:
            raise UserError(
                f"config.model.kind is {KIND!r}, which needs square boards whose cells have one of "
                f"several symbols, and these puzzles have {config.cells} cells and {config.vocab} "
                "token ids; choose another kind."
            )

    def _network(self, slots: int) -> LatticeNetwork:
        c = self.config
        tokens = c.cells + c.lattice.conflict_token
        # the conflict token counts as a prefix token in `chosen`
        sized = dataclasses.replace(c, prefix_tokens=tokens - c.cells)
        return LatticeNetwork(c, self.side, self.symbols, attend.chosen(sized, slots))

    def init(self, key: jax.Array) -> Any:
        """Initialises the parameters, a tree of float32 arrays."""
        candidates = jnp.ones((1, self.config.cells, self.symbols), bool)
        return self._network(1).init(key, candidates)["params"]

    def initial_latents(self, key: jax.Array) -> Latents:
        """Returns (): initial states are the puzzle's own candidates."""
        del key
        return ()

    def start(self, initial: Sequence[jax.Array], inputs: jax.Array) -> Latents:
        """Initial candidates, bool [B, S, C], of questions int32 [B, S]."""
        del initial
        return (self.candidates_of(inputs),)

    def candidates_of(self, inputs: jax.Array) -> jax.Array:
        """Candidates bool [B, S, C] of int32 [B, S]: one for a given, all for an empty cell."""
        one = jax.nn.one_hot(inputs - FIRST_DIGIT, self.symbols, dtype=bool)
        return one | (inputs < FIRST_DIGIT)[..., None]

    def loops(
        self,
        params: Any,
        candidates: jax.Array,
        dropout: float = 0.0,
        keys: jax.Array | None = None,
    ) -> Said:
        """Outputs of the heads after n loops.

        Args:
          params: parameters, see `init`.
          candidates: bool [B, S, C].
          dropout: dropout rate.
          keys: random keys [B] for the dropout; None for no dropout.
        """
        nothing = jnp.zeros((), jnp.float32)
        (h, token), _ = self._scan(params, candidates, dropout, keys, lambda *_: nothing)
        return self._read(params, h, token)

    def losses(self, params: Any, truth: Truth, keys: jax.Array) -> tuple[Losses, Said]:
        """Losses averaged over the trained loops, and the outputs of the heads after the last one.

        Args:
          params: parameters, see `init`.
          truth: states with their targets.
          keys: random keys [B] for the dropout.
        """
        c = self.config

        def read(params: Any, h: jax.Array, token: jax.Array) -> Any:
            said = self._read(params, h, token)
            return loop_losses(said, truth, c.lattice), said

        every = not c.lattice.last_loop_only
        # recomputed in the backward pass: float32 logits of all loops are never stored
        of_loop = jax.checkpoint(lambda p, h, token: read(p, h, token)[0])
        nothing = jnp.zeros((), jnp.float32)
        (h, token), each = self._scan(
            params,
            truth.candidates,
            c.lattice.dropout,
            keys,
            of_loop if every else lambda *_: nothing,
        )
        last, said = read(params, h, token)
        if not every:
            return last, said
        return Losses(*(jnp.mean(a) for a in each)), jax.lax.stop_gradient(said)

    def _read(self, params: Any, h: jax.Array, token: jax.Array) -> Said:
        said: Any = self._network(h.shape[0]).apply({"params": params}, h, token, method="read")
        return said

    def _scan(
        self,
        params: Any,
        candidates: jax.Array,
        dropout: float,
        keys: jax.Array | None,
        record: Callable[..., Any],
    ) -> Any:
        """Runs n loops; returns the final states and the stacked outputs of `record`."""
        c = self.config
        network = self._network(candidates.shape[0])
        h0: Any = network.apply({"params": params}, candidates, method="embed")

        def loop(params: Any, h: jax.Array, number: jax.Array) -> Any:
            its_keys = fold(keys, number) if dropout else None
            return network.apply({"params": params}, h, h0, dropout, its_keys, method="loop")

        if c.remat != "none":
            loop = jax.checkpoint(loop)

        def step(state: Any, number: jax.Array) -> Any:
            state = loop(params, state[0], number)
            return state, record(params, *state)

        start = (jnp.zeros_like(h0), jnp.zeros_like(h0[:, 0]))
        return jax.lax.scan(step, start, jnp.arange(c.n), unroll=c.n if c.unroll else 1)

    def supervision_step(
        self,
        params: Any,
        latents: Latents,
        inputs: jax.Array,
        rows: jax.Array,
        noise_keys: jax.Array | None = None,
    ) -> tuple[Latents, Output]:
        """One deterministic round of a single chain: eliminate, then fix the most likely cell.

        Args:
          params: parameters, see `init`.
          latents: (candidates,), from `start` or the previous round.
          inputs: int32 [B, S], token ids of the questions.
          rows: not used.
          noise_keys: not used.

        Returns:
          The candidates after the round, and an output for those before its guess: logits of each
          cell's digit, lowest for eliminated candidates, and a halting logit that is positive if
          the state is solved without conflict.
        """
        del rows, noise_keys
        (candidates,) = latents
        settings = self.config.lattice
        said = self.loops(params, candidates)
        deduced = eliminate(said, candidates, inputs >= FIRST_DIGIT, settings)
        return (guess(deduced, said, settings, None),), self.output(said, deduced)

    def output(self, said: Said, deduced: Any) -> Output:
        """Converts a round's result to the output of all models, see `supervision_step`."""
        left = deduced.candidates
        lowest = jnp.finfo(said.digits.dtype).min
        alive = left | ~jnp.any(left, axis=-1, keepdims=True)
        digits = jnp.where(alive, said.digits, lowest)
        pad = ((0, 0), (0, 0), (FIRST_DIGIT, 0))
        logits = jnp.pad(digits, pad, constant_values=lowest)
        calm = jnp.clip(-said.conflict, 0, SURE)
        halt = jnp.where(deduced.solved, calm, -SURE).astype(jnp.float32)
        return Output(logits=logits, halt_logits=halt, continue_logits=jnp.zeros_like(halt))

    def wants_to_halt(self, output: Output) -> jax.Array:
        """Whether the state is solved, bool [B]."""
        return output.halt_logits > 0

    def step_flops(self, batch_size: int, train: bool, chains: int = 1) -> int:
        """FLOPs (twice the multiply-adds) of the products of one round or one training update.

        An update has a forward pass, a backward pass of twice its cost, and a round.
        """
        del chains
        c = self.config
        tokens, width = c.cells + c.lattice.conflict_token, c.width
        linear = 2 * tokens * width * width * (3 + 1 + 2 * EXPANSION)
        block = linear + 4 * tokens * tokens * width
        heads = 2 * c.cells * width * 2 * self.symbols
        trained = 1 if c.lattice.last_loop_only else c.n
        loops, read = c.n * c.layers * block, heads
        if train:
            loops, read = 4 * loops, (3 * trained + 1) * heads
        return batch_size * (loops + read)
