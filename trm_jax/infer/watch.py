"""Records the chains of a lattice model round by round, to show them."""

import dataclasses
import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from trm_jax.core.symmetries import FIRST_DIGIT
from trm_jax.infer.chain_search import ChainSearch, Limits, Played, Queue, Slots

GUESSED, CONFLICT, SOLVED, BROKEN, ENDED = range(5)
"""How a round ends: with a guess, a conflict, an answer that satisfies or breaks the rules, or at
the chain's maximum number of rounds."""


class Watched(NamedTuple):
    """The chains of one puzzle, one after the other, with N rounds in total.

    Attributes:
      candidates: float32 [N, S, C], probability of each remaining candidate; 0 for eliminated ones.
      sound: float32 [N], probability that there is no conflict.
      ends: int32 [N], how each round ended: GUESSED, CONFLICT, SOLVED, BROKEN or ENDED.
      cells: int32 [N], the cell that was guessed; -1 for none.
      symbols: int32 [N], the candidate that was guessed there; -1 for none.
    """

    candidates: NDArray[np.float32]
    sound: NDArray[np.float32]
    ends: NDArray[np.int32]
    cells: NDArray[np.int32]
    symbols: NDArray[np.int32]

    @property
    def path(self) -> NDArray[np.uint8]:
        """Token of each cell with a single candidate after each round, uint8 [N, S]; else blank."""
        left = self.candidates > 0
        tokens = np.argmax(left, axis=-1) + FIRST_DIGIT
        return np.where(left.sum(axis=-1) == 1, tokens, FIRST_DIGIT - 1).astype(np.uint8)


def watch(search: ChainSearch, params: Any, inputs: NDArray[np.uint8]) -> list[Watched]:
    """Runs the chains of each question, one at a time, until it is answered or limits are reached.

    Each chain has the random numbers that it has in a search with the same questions and seed. But
    the search runs up to `chains` of them in parallel, so a different chain may be its first to
    answer, after more or fewer passes.

    Args:
      search: its model, seed and limits are used; its batch size is not.
      params: dense parameters of the model.
      inputs: uint8 [m, S], the questions; m at least 1.

    Returns:
      The chains of each of the m questions.
    """
    start, limits = time.perf_counter(), dataclasses.replace(search.limits, chains=1)
    alone = ChainSearch(search.model, search.deduction, search.mesh, len(inputs), limits)
    step: Any = jax.jit(lambda params, queue: _record(alone, params, queue))
    queue, rounds = alone.begin(inputs), []
    while True:
        queue, busy, puzzle, record = step(params, queue)
        rounds.append(jax.device_get((puzzle, record)))
        if not bool(busy) or time.perf_counter() - start >= limits.seconds:
            break
    found: list[list[Any]] = [[] for _ in inputs]
    for puzzles, record in rounds:
        for slot, puzzle in enumerate(puzzles.tolist()):
            if puzzle < len(inputs):
                found[puzzle].append(jax.tree.map(lambda a, slot=slot: a[slot], record))
    return [Watched(*(np.stack(arrays) for arrays in zip(*each, strict=True))) for each in found]


def _record(search: ChainSearch, params: Any, queue: Queue) -> Any:
    """One round: the queue after it, whether slots are busy, their puzzles, and the record."""
    queue = search.assign_idle(queue)
    slots = queue.slots
    seen = search.see(params, queue.puzzles, slots)
    record = record_of(seen, slots, search.limits)
    queue, busy = search.finish(queue, seen)
    return queue, busy, slots.puzzle, record


def record_of(seen: Played, slots: Slots, limits: Limits) -> tuple[jax.Array, ...]:
    """A round of B slots as the fields of `Watched`, [B, ...] each.

    Args:
      seen: the round.
      slots: the slots before the round.
      limits: limits of the search.
    """
    deduced = seen.deduced
    probability = jnp.where(deduced.candidates, jax.nn.sigmoid(seen.said.candidates), 0)
    # the candidate of a given remains even if its probability is low
    probability = jnp.where(deduced.candidates, jnp.maximum(probability, 0.01), 0)
    changed = jnp.any(deduced.candidates != seen.candidates, axis=-1)
    last = slots.round + 1 >= limits.rounds
    ends = jnp.where(last, ENDED, GUESSED)
    ends = jnp.where(deduced.solved, jnp.where(seen.accepted, SOLVED, BROKEN), ends)
    ends = jnp.where(deduced.conflict, CONFLICT, ends)
    guessed, cells = jnp.any(changed, axis=-1), jnp.argmax(changed, axis=-1)
    at_cell = jnp.take_along_axis(seen.candidates, cells[:, None, None], axis=1)[:, 0]
    symbols = jnp.argmax(at_cell, axis=-1)
    sound = 1 - jax.nn.sigmoid(seen.said.conflict)
    numbers = (ends, *(jnp.where(guessed, a, -1) for a in (cells, symbols)))
    return (probability, sound, *(a.astype(jnp.int32) for a in numbers))
