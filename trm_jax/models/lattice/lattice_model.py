"""A lattice model of the registry: its network looped on candidate sets, a round at a time.

    s     candidates, bool [B, S, C], which only ever shrink: one for a given, all for an empty cell
    h     latent state, [B, S, D], zeros at the beginning of each round
    n     loops of the network in a round, config.model.n
    N     rounds without search, config.model.N

A round is what a supervision step is to TRM: the network reads s, candidates die, a cell is fixed.
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
"""Halting logit of a solved state where there is no conflict head, and minus that of others."""

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
"""What a lattice model's network is, in the terms of the settings that all models share; those of
no use to it stand at their defaults."""


def check(settings: ModelSettings) -> None:
    """Refuses settings that a lattice model cannot follow.

    Raises:
      UserError: names them and what they must be.
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
                f"config.model.{name} is {value}, and a {KIND!r} model does not use it; set it to "
                f"{default}."
            )


class LatticeModel:
    """Pure functions of the parameters; holds nothing but what it is configured to be."""

    state_names = ("candidates",)
    learns_to_continue = False
    learner = "pool"

    def __init__(self, config: ModelConfig) -> None:
        """Refuses boards that are no squares, or have too few symbols.

        Raises:
          UserError: see there.
        """
        check(config)
        self.config = config
        self.symbols = config.vocab - FIRST_DIGIT
        self.side = math.isqrt(config.cells)
        if self.side**2 != config.cells or self.symbols < 2:
            raise UserError(
                f"config.model.kind is {KIND!r}, for square boards whose cells have one of several "
                f"symbols each, and these puzzles have {config.cells} cells and {config.vocab} "
                "token ids; choose another kind."
            )

    def _network(self, slots: int) -> LatticeNetwork:
        c = self.config
        tokens = c.cells + c.lattice.conflict_token
        # one prefix token more is how `chosen` counts the conflict token
        sized = dataclasses.replace(c, prefix_tokens=tokens - c.cells)
        return LatticeNetwork(c, self.side, self.symbols, attend.chosen(sized, slots))

    def init(self, key: jax.Array) -> Any:
        """Draws the parameters, a tree of float32 arrays; `key` is consumed."""
        candidates = jnp.ones((1, self.config.cells, self.symbols), bool)
        return self._network(1).init(key, candidates)["params"]

    def initial_latents(self, key: jax.Array) -> Latents:
        """None: a state begins as the puzzle's own candidates."""
        del key
        return ()

    def start(self, initial: Sequence[jax.Array], inputs: jax.Array) -> Latents:
        """The candidates, bool [B, S, C], that questions int32 [B, S] begin with."""
        del initial
        return (self.candidates_of(inputs),)

    def candidates_of(self, inputs: jax.Array) -> jax.Array:
        """A given is one candidate, an empty cell has all: bool [B, S, C] of int32 [B, S]."""
        one = jax.nn.one_hot(inputs - FIRST_DIGIT, self.symbols, dtype=bool)
        return one | (inputs < FIRST_DIGIT)[..., None]

    def loops(
        self,
        params: Any,
        candidates: jax.Array,
        dropout: float = 0.0,
        keys: jax.Array | None = None,
    ) -> Said:
        """What the heads say after the last of n loops.

        Args:
          params: as from `init`.
          candidates: bool [B, S, C].
          dropout: its rate.
          keys: random keys [B] for it; None drops nothing.
        """
        nothing = jnp.zeros((), jnp.float32)
        (h, token), _ = self._scan(params, candidates, dropout, keys, lambda *_: nothing)
        return self._read(params, h, token)

    def losses(self, params: Any, truth: Truth, keys: jax.Array) -> tuple[Losses, Said]:
        """The losses of the loops that are trained on, on average, and what the last one says.

        Args:
          params: as from `init`.
          truth: states and what is true of them.
          keys: random keys [B] for the dropout.
        """
        c = self.config

        def read(params: Any, h: jax.Array, token: jax.Array) -> Any:
            said = self._read(params, h, token)
            return loop_losses(said, truth, c.lattice), said

        every = not c.lattice.last_loop_only
        # computed again in the backward pass: float32 logits of all loops are never stored
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
        """The states after n loops, and what `record` makes of those after each."""
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
        """One round of one chain, nothing of it random: eliminate, then fix the surest cell.

        Args:
          params: as from `init`.
          latents: (candidates,), as from `start` or the last round.
          inputs: int32 [B, S], the questions.
          rows: not used.
          noise_keys: not used.

        Returns:
          The candidates after the round, and what is said of those before its guess: logits of
          each cell's digit, the dead ones' lowest, and a halting logit that is positive where the
          state is solved and shows no conflict.
        """
        del rows, noise_keys
        (candidates,) = latents
        settings = self.config.lattice
        said = self.loops(params, candidates)
        deduced = eliminate(said, candidates, inputs >= FIRST_DIGIT, settings)
        return (guess(deduced, said, settings, None),), self.output(said, deduced)

    def output(self, said: Said, deduced: Any) -> Output:
        """A round's result in the form of all models, see `supervision_step`."""
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
        """Bool [B]: whether the state is solved."""
        return output.halt_logits > 0

    def step_flops(self, batch_size: int, train: bool, chains: int = 1) -> int:
        """Multiply-adds times two of the products of one round, or of one update of the pool.

        An update goes forward and, at twice the cost, backward; then it takes a round.
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
