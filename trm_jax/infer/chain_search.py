"""Search with a lattice model: chains of rounds in one compiled queue, which answers or abstains.

A chain begins with a puzzle's own candidates; each round eliminates candidates and guesses. A
conflict ends the chain, and so does an answer that breaks the task's rules; a new one begins. The
first whole answer that the rules accept is the puzzle's. Slots are shared: a puzzle without a chain
comes before one that has some, then the one with the fewest chains so far. A puzzle whose passes
are used up is left without an answer.
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
"""Rounds of one call of the compiled program, after which the clock is looked at."""
TURN, DROPOUT, GUESS = range(3)
MOST_CHAINS = 2**18
"""From so many chains of a puzzle on, their number no longer decides whose turn it is."""


@dataclasses.dataclass(frozen=True)
class Limits:
    """How far a puzzle is searched.

    Attributes:
      passes: network passes (rounds of a chain) for a puzzle at most; a round is finished by all
        its chains, so it may be `chains` - 1 more.
      chains: chains of a puzzle that run at the same time at most.
      rounds: rounds of a chain at most.
      seconds: for all puzzles together; looked at every ROUNDS_PER_CALL rounds.
      seed: of all that is random.
    """

    passes: int = 1024
    chains: int = 16
    rounds: int = 64
    seconds: float = float("inf")
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuses what makes no sense.

        Raises:
          UserError: names the limit.
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
    """M puzzles and what has come of them.

    Attributes:
      inputs: int32 [M, S], the questions.
      answers: uint8 [M, S], token ids; 0 where there is no answer.
      solved: bool [M].
      passes: int32 [M], network passes of all chains, up to the answer.
      rounds: int32 [M], rounds in which at least one chain ran.
      chains: int32 [M], chains begun.
      number: int32 [M], from which the randomness of its chains comes.
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
      puzzle: int32 [B], its number; M where the slot is idle.
      chain: int32 [B], its number among those of the puzzle.
      round: int32 [B], rounds it has had.
      candidates: bool [B, S, C].
    """

    puzzle: jax.Array
    chain: jax.Array
    round: jax.Array
    candidates: jax.Array


class Queue(struct.PyTreeNode):
    """All that a search is, between two calls."""

    puzzles: Puzzles
    slots: Slots


class Found(NamedTuple):
    """What came of a search, see `Puzzles`; NumPy arrays [M, ...].

    Attributes:
      seconds: that it took, compilation included.
    """

    answers: NDArray[np.uint8]
    solved: NDArray[np.bool_]
    passes: NDArray[np.int32]
    rounds: NDArray[np.int32]
    chains: NDArray[np.int32]
    seconds: float


class Played(NamedTuple):
    """A round of all slots, as it went.

    Attributes:
      said: in the puzzles' own orientation.
      deduced: after the elimination.
      candidates: bool [B, S, C], after the guess.
      accepted: bool [B], it is an answer that the rules accept.
    """

    said: Said
    deduced: Deduced
    candidates: jax.Array
    accepted: jax.Array


def new_puzzles(inputs: NDArray[np.uint8]) -> Puzzles:
    """Questions uint8 [M, S] that nothing was done about yet, all of number 0; NumPy arrays."""
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
    """The compiled queue of a model, for any puzzles of its form."""

    def __init__(
        self,
        model: LatticeModel,
        deduction: Deduction,
        mesh: Mesh,
        batch_size: int,
        limits: Limits | None = None,
    ) -> None:
        """Describes the program; it is compiled by its first call for a number of puzzles.

        Args:
          model: a lattice model.
          deduction: of its puzzles.
          mesh: slots are split over it.
          batch_size: slots at most; rounded up to what the mesh can split.
          limits: how far a puzzle is searched.
        """
        self.model, self.deduction, self.mesh = model, deduction, mesh
        self.limits = limits or Limits()
        self.batch_size = batch_size
        self._advance: Any = jax.jit(self._several, donate_argnums=1)

    def __call__(self, params: Any, inputs: NDArray[np.uint8]) -> Found:
        """Searches for the answers to questions uint8 [M, S], M at least 1."""
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
        """A queue of which no chain has begun."""
        count = len(inputs)
        puzzles = new_puzzles(inputs)
        puzzles = puzzles.replace(number=np.arange(count, dtype=np.int32))
        slots = whole_slots(min(self.batch_size, count * self.limits.chains), self.mesh)
        return Queue(to_global(puzzles, replicated(self.mesh)), self.idle_slots(slots, count))

    def idle_slots(self, slots: int, count: int) -> Slots:
        """So many slots without a chain, for a queue of `count` puzzles."""
        split, cells = over_slots(self.mesh), self.model.config.cells
        return Slots(
            puzzle=jax.device_put(jnp.full((slots,), count, jnp.int32), split),
            chain=jax.device_put(jnp.zeros((slots,), jnp.int32), split),
            round=jax.device_put(jnp.zeros((slots,), jnp.int32), split),
            candidates=jax.device_put(jnp.zeros((slots, cells, self.model.symbols), bool), split),
        )

    def _several(self, params: Any, queue: Queue) -> tuple[Queue, jax.Array]:
        """Some rounds; also whether any slot has a chain then."""

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
        """Bool [M]: an answer is found, or the passes are used up."""
        return puzzles.solved | (puzzles.passes >= self.limits.passes)

    def assign_idle(self, queue: Queue, chains: jax.Array | None = None) -> Queue:
        """Slots without a chain begin one, where there is a puzzle for them; see `finish`."""
        return self._assign(queue, self._idle(queue), chains)

    def finish(
        self, queue: Queue, seen: Played, chains: jax.Array | None = None
    ) -> tuple[Queue, jax.Array]:
        """What a round of all slots leads to: answers, and new chains where some have ended.

        Args:
          queue: before the round.
          seen: what `see` made of it.
          chains: int32 (), of a puzzle at the same time at most; None for those of the limits.

        Returns:
          The queue after it, and whether any slot has a chain.
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
        """A round of all slots, each in a symmetry of its own.

        Args:
          params: of the model.
          puzzles: the questions.
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
        """A key [B] for each slot: a function of seed, puzzle, chain and round alone."""
        seed = jax.random.key(self.limits.seed)

        def key(puzzle: jax.Array, chain: jax.Array, number: jax.Array) -> jax.Array:
            folded = jax.random.fold_in(jax.random.fold_in(seed, puzzle), chain)
            return jax.random.fold_in(folded, number)

        return jax.vmap(key)(puzzle, slots.chain, slots.round)

    def _loops(self, params: Any, candidates: jax.Array, keys: jax.Array) -> Said:
        """What the network says of the slots, each device taking its own."""
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
        """Free slots begin new chains of open puzzles; those for which there is none are idle."""
        puzzles, slots = queue.puzzles, queue.slots
        count = len(puzzles.solved)
        kept = jnp.where(free, count, slots.puzzle)
        running = jnp.zeros((count,), jnp.int32).at[kept].add(1, mode="drop")
        at_once = self.limits.chains if chains is None else chains
        most = jnp.minimum(at_once, self.limits.passes - puzzles.passes)
        open_ = ~puzzles.solved & (running < most)
        turn = running * MOST_CHAINS + jnp.minimum(puzzles.chains, MOST_CHAINS - 1)
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
