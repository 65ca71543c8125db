"""Search with a lattice model, which answers a puzzle or abstains, in one compiled queue.

A chain starts with the candidates of a puzzle's question; each round eliminates candidates and
guesses. A conflict, or an answer that breaks the task's rules, ends the chain, and a new one
starts. The first complete answer that the rules accept is the puzzle's answer. A free slot goes to
the open puzzle with the fewest running chains, and among these to the one with the fewest chains so
far. A puzzle that has used up its passes stays without an answer.

Source: "Lattice Deduction Transformers", arXiv 2605.08605, inference.
"""

import dataclasses
import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax.sharding import Mesh, PartitionSpec
from numpy.typing import NDArray

from trm_jax.core.errors import UserError
from trm_jax.core.mesh import SLOTS, over_slots, replicated, to_global, whole_slots
from trm_jax.core.symmetries import FIRST_DIGIT
from trm_jax.models.lattice.deduce import Deduced, eliminate, guess
from trm_jax.models.lattice.lattice_model import LatticeModel
from trm_jax.models.lattice.network import Said, fold
from trm_jax.tasks.deduction import Deduction

ROUNDS_PER_CALL = 16
"""Number of rounds per call of the compiled program; the time is checked between calls."""
TURN, DROPOUT, GUESS = range(3)
MAX_CHAINS = 2**18
"""Chains of a puzzle beyond this number do not affect the order of puzzles any more."""


@dataclasses.dataclass(frozen=True)
class Limits:
    """The limits of a search.

    Attributes:
      passes: maximum number of network passes (rounds of a chain) per puzzle; since all its chains
        finish a round, it may be exceeded by `chains` - 1.
      chains: maximum number of chains of a puzzle that run at the same time.
      rounds: maximum number of rounds of a chain.
      seconds: time limit for all puzzles together, checked every ROUNDS_PER_CALL rounds.
      seed: seed of all random numbers.
    """

    passes: int = 1024
    chains: int = 16
    rounds: int = 64
    seconds: float = float("inf")
    seed: int = 0

    def __post_init__(self) -> None:
        """Checks the limits.

        Raises:
          UserError: a limit is out of range; names it.
        """
        for name in ("passes", "chains", "rounds"):
            value = getattr(self, name)
            if not 1 <= value < 2**31:
                raise UserError(f"--{name} is {value}; give 1 or more, below 2^31.")
        if not self.seconds > 0:
            raise UserError(f"--seconds is {self.seconds}; give more than 0.")
        if not 0 <= self.seed < 2**31:
            raise UserError(f"--seed is {self.seed}; give 0 or more, below 2^31.")


class Puzzles(struct.PyTreeNode):
    """M puzzles and their state.

    Attributes:
      inputs: int32 [M, S], the questions.
      answers: uint8 [M, S], token ids; 0 if there is no answer.
      solved: bool [M], whether an answer was found.
      passes: int32 [M], number of network passes of all chains so far.
      rounds: int32 [M], number of rounds in which at least one chain ran.
      chains: int32 [M], number of chains started.
      number: int32 [M], seeds the random numbers of its chains.
    """

    inputs: jax.Array
    answers: jax.Array
    solved: jax.Array
    passes: jax.Array
    rounds: jax.Array
    chains: jax.Array
    number: jax.Array


class Slots(struct.PyTreeNode):
    """B chains.

    Attributes:
      puzzle: int32 [B], index of the puzzle; M if the slot is idle.
      chain: int32 [B], index of the chain among those of the puzzle.
      round: int32 [B], number of rounds so far.
      candidates: bool [B, S, C], the remaining candidates.
    """

    puzzle: jax.Array
    chain: jax.Array
    round: jax.Array
    candidates: jax.Array


class Queue(struct.PyTreeNode):
    """The state of a search between two calls."""

    puzzles: Puzzles
    slots: Slots


class Found(NamedTuple):
    """The results of a search: NumPy arrays [M, ...] as in `Puzzles`.

    Attributes:
      seconds: duration of the search, including compilation.
    """

    answers: NDArray[np.uint8]
    solved: NDArray[np.bool_]
    passes: NDArray[np.int32]
    rounds: NDArray[np.int32]
    chains: NDArray[np.int32]
    seconds: float


class Played(NamedTuple):
    """One round of all slots.

    Attributes:
      said: output of the network, mapped back to the original puzzles.
      deduced: state after the elimination.
      candidates: bool [B, S, C], candidates after the guess.
      accepted: bool [B], whether there is an answer that the rules accept.
    """

    said: Said
    deduced: Deduced
    candidates: jax.Array
    accepted: jax.Array


def new_puzzles(inputs: NDArray[np.uint8]) -> Puzzles:
    """The initial state of questions uint8 [M, S], all with `number` 0; NumPy arrays."""
    count, cells = inputs.shape
    nothing = np.zeros((count,), np.int32)
    fields: dict[str, Any] = {
        "inputs": inputs.astype(np.int32),
        "answers": np.zeros((count, cells), np.uint8),
        "solved": np.zeros((count,), bool),
        **dict.fromkeys(("passes", "rounds", "chains", "number"), nothing),
    }
    return Puzzles(**fields)


class ChainSearch:
    """The compiled search of a model; its only state is the compiled program."""

    def __init__(
        self,
        model: LatticeModel,
        deduction: Deduction,
        mesh: Mesh,
        batch_size: int,
        limits: Limits | None = None,
    ) -> None:
        """Prepares the program; the first call with a number of puzzles compiles it.

        Args:
          model: a lattice model.
          deduction: symmetries and rules of its puzzles.
          mesh: mesh that the slots are split over.
          batch_size: maximum number of slots; rounded up to a multiple of the devices.
          limits: limits of the search; None for the defaults.
        """
        self.model, self.deduction, self.mesh = model, deduction, mesh
        self.limits = limits or Limits()
        self.batch_size = batch_size
        self._advance: Any = jax.jit(self._several, donate_argnums=1)

    def __call__(self, params: Any, inputs: NDArray[np.uint8]) -> Found:
        """Searches for answers to questions uint8 [M, S], with M at least 1."""
        start = time.perf_counter()
        queue = self.begin(inputs)
        while time.perf_counter() - start < self.limits.seconds:
            queue, busy = self._advance(params, queue)
            if not bool(busy):
                break
        found = jax.device_get(queue.puzzles)
        return Found(
            answers=found.answers,
            solved=found.solved,
            passes=found.passes,
            rounds=found.rounds,
            chains=found.chains,
            seconds=time.perf_counter() - start,
        )

    def begin(self, inputs: NDArray[np.uint8]) -> Queue:
        """A queue in which no chain has started."""
        count = len(inputs)
        puzzles = new_puzzles(inputs)
        puzzles = puzzles.replace(number=np.arange(count, dtype=np.int32))
        slots = whole_slots(min(self.batch_size, count * self.limits.chains), self.mesh)
        return Queue(to_global(puzzles, replicated(self.mesh)), self.idle_slots(slots, count))

    def idle_slots(self, slots: int, count: int) -> Slots:
        """`slots` slots without a chain, for a queue of `count` puzzles."""
        split, cells = over_slots(self.mesh), self.model.config.cells
        return Slots(
            puzzle=jax.device_put(jnp.full((slots,), count, jnp.int32), split),
            chain=jax.device_put(jnp.zeros((slots,), jnp.int32), split),
            round=jax.device_put(jnp.zeros((slots,), jnp.int32), split),
            candidates=jax.device_put(jnp.zeros((slots, cells, self.model.symbols), bool), split),
        )

    def _several(self, params: Any, queue: Queue) -> tuple[Queue, jax.Array]:
        """Runs at most ROUNDS_PER_CALL rounds; returns whether any slot has a chain afterwards."""

        def goes_on(state: tuple[Queue, jax.Array]) -> jax.Array:
            return (state[1] < ROUNDS_PER_CALL) & self._busy(state[0])

        def step(state: tuple[Queue, jax.Array]) -> tuple[Queue, jax.Array]:
            queue, number = state
            seen = self.see(params, queue.puzzles, queue.slots)
            return self.finish(queue, seen)[0], number + 1

        queue = self.assign_idle(queue)
        queue, _ = jax.lax.while_loop(goes_on, step, (queue, jnp.zeros((), jnp.int32)))
        return queue, self._busy(queue)

    def _idle(self, queue: Queue) -> jax.Array:
        return queue.slots.puzzle >= len(queue.puzzles.solved)

    def _busy(self, queue: Queue) -> jax.Array:
        return jnp.any(~self._idle(queue))

    def over(self, puzzles: Puzzles) -> jax.Array:
        """Whether a puzzle has an answer or has used up its passes, bool [M]."""
        return puzzles.solved | (puzzles.passes >= self.limits.passes)

    def assign_idle(self, queue: Queue, chains: jax.Array | None = None) -> Queue:
        """Starts chains in idle slots, as long as there are puzzles for them; see `finish`."""
        return self._assign(queue, self._idle(queue), chains)

    def finish(
        self, queue: Queue, seen: Played, chains: jax.Array | None = None
    ) -> tuple[Queue, jax.Array]:
        """Stores the answers of a round, and starts new chains in slots whose chain has ended.

        Args:
          queue: the queue before the round.
          seen: the round, from `see`.
          chains: int32 (), maximum number of chains of a puzzle at the same time; None for that of
            the limits.

        Returns:
          The queue after the round, and whether any slot has a chain.
        """
        puzzles, slots = queue.puzzles, queue.slots
        count = len(puzzles.solved)
        idle = self._idle(queue)
        won = seen.accepted & ~idle
        numbers = jnp.arange(len(won), dtype=jnp.int32)
        first = jnp.full((count,), len(won), jnp.int32)
        first = first.at[slots.puzzle].min(jnp.where(won, numbers, len(won)), mode="drop")
        writes = jnp.where(won & (first[slots.puzzle] == numbers), slots.puzzle, count)
        tokens = (jnp.argmax(seen.candidates, axis=-1) + FIRST_DIGIT).astype(jnp.uint8)
        running = jnp.zeros((count,), jnp.int32).at[slots.puzzle].add(1, mode="drop")
        passes = puzzles.passes + running
        solved = puzzles.solved | (first < len(won))
        everywhere = replicated(self.mesh)
        new = puzzles.replace(
            answers=puzzles.answers.at[writes].set(tokens, mode="drop"),
            solved=solved,
            passes=passes,
            rounds=puzzles.rounds + (running > 0).astype(jnp.int32),
        )
        new = jax.tree.map(lambda a: jax.lax.with_sharding_constraint(a, everywhere), new)
        place = jnp.minimum(slots.puzzle, count - 1)
        ended = seen.deduced.conflict | seen.deduced.solved | self.over(new)[place]
        ended |= slots.round + 1 >= self.limits.rounds
        moved = slots.replace(round=slots.round + 1, candidates=seen.candidates)
        queue = self._assign(Queue(new, moved), idle | ended, chains)
        return queue, self._busy(queue)

    def see(self, params: Any, puzzles: Puzzles, slots: Slots) -> Played:
        """Computes one round of all slots, each in a different random symmetry.

        Args:
          params: dense parameters of the model.
          puzzles: the puzzles of the queue.
          slots: the chains.
        """
        settings = self.model.config.lattice
        place = jnp.minimum(slots.puzzle, len(puzzles.solved) - 1)
        keys = self._keys(puzzles.number[place], slots)
        movement = self.deduction.draw(fold(keys, TURN))
        said = self._loops(params, movement.apply(slots.candidates), fold(keys, DROPOUT))
        back = movement.invert()
        said = said.replace(candidates=back.apply(said.candidates), digits=back.apply(said.digits))
        given = puzzles.inputs[place] >= FIRST_DIGIT
        deduced = eliminate(said, slots.candidates, given, settings, searching=True)
        candidates = guess(deduced, said, settings, fold(keys, GUESS))
        rules = self.deduction.accepts(jnp.argmax(deduced.candidates, axis=-1))
        return Played(said, deduced, candidates, deduced.solved & rules)

    def _keys(self, puzzle: jax.Array, slots: Slots) -> jax.Array:
        """A random key for each slot, [B]; a function of seed, puzzle, chain and round only."""
        seed = jax.random.key(self.limits.seed)

        def key(puzzle: jax.Array, chain: jax.Array, number: jax.Array) -> jax.Array:
            folded = jax.random.fold_in(jax.random.fold_in(seed, puzzle), chain)
            return jax.random.fold_in(folded, number)

        return jax.vmap(key)(puzzle, slots.chain, slots.round)

    def _loops(self, params: Any, candidates: jax.Array, keys: jax.Array) -> Said:
        """The network's output for all slots; each device computes its own slots."""
        dropout = self.model.config.lattice.search_dropout
        split = PartitionSpec(SLOTS)
        # unchecked, as in `train.gradient`
        return jax.shard_map(
            lambda params, s, keys: self.model.loops(params, s, dropout, keys),
            mesh=self.mesh,
            in_specs=(PartitionSpec(), split, split),
            out_specs=split,
            check_vma=False,
        )(params, candidates, keys)

    def _assign(self, queue: Queue, free: jax.Array, chains: jax.Array | None) -> Queue:
        """Starts chains of open puzzles in free slots; slots without a puzzle become idle."""
        puzzles, slots = queue.puzzles, queue.slots
        count = len(puzzles.solved)
        kept = jnp.where(free, count, slots.puzzle)
        running = jnp.zeros((count,), jnp.int32).at[kept].add(1, mode="drop")
        at_once = self.limits.chains if chains is None else chains
        most = jnp.minimum(at_once, self.limits.passes - puzzles.passes)
        open_ = ~puzzles.solved & (running < most)
        turn = running * MAX_CHAINS + jnp.minimum(puzzles.chains, MAX_CHAINS - 1)
        order = jnp.argsort(jnp.where(open_, turn, jnp.iinfo(jnp.int32).max))
        waiting = jnp.sum(open_)
        rank = jnp.cumsum(free.astype(jnp.int32)) - 1
        place = order[rank % jnp.maximum(waiting, 1)]
        again = rank // jnp.maximum(waiting, 1)
        begins = free & (waiting > 0) & (running[place] + again < most[place])
        puzzle = jnp.where(begins, place, kept).astype(jnp.int32)
        start = self.model.candidates_of(puzzles.inputs[jnp.minimum(puzzle, count - 1)])
        begun = jnp.zeros((count,), jnp.int32)
        begun = begun.at[jnp.where(begins, puzzle, count)].add(1, mode="drop")
        split = over_slots(self.mesh)
        new = Slots(
            puzzle=puzzle,
            chain=jnp.where(begins, puzzles.chains[place] + again, slots.chain),
            round=jnp.where(begins, 0, slots.round),
            candidates=jnp.where(begins[:, None, None], start, slots.candidates),
        )
        new = jax.tree.map(lambda a: jax.lax.with_sharding_constraint(a, split), new)
        return Queue(puzzles.replace(chains=puzzles.chains + begun), new)
