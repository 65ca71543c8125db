"""Chains of a lattice model, round by round, to be shown."""

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
"""How a round ends: with a guess, a conflict, an answer that the rules accept or refuse, or because
the chain has had all its rounds."""


class Watched(NamedTuple):
    """The chains of one puzzle, one after the other, N rounds in all.

    Attributes:
      candidates: float32 [N, S, C], probability of each candidate that is left; 0 for the others.
      sound: float32 [N], probability that there is no conflict.
      ends: int [N], how each round ended, one of those above.
      cells: int [N], the cell that was guessed; -1 for none.
      symbols: int [N], the candidate that was guessed there; -1 for none.
    """

    candidates: NDArray[np.float32]
    sound: NDArray[np.float32]
    ends: NDArray[np.int32]
    cells: NDArray[np.int32]
    symbols: NDArray[np.int32]

    @property
    def path(self) -> NDArray[np.uint8]:
        """Token of each decided cell after each round, uint8 [N, S]; blanks elsewhere."""
        left = self.candidates > 0
        tokens = np.argmax(left, axis=-1) + FIRST_DIGIT
        return np.where(left.sum(axis=-1) == 1, tokens, FIRST_DIGIT - 1).astype(np.uint8)


def watch(search: ChainSearch, params: Any, inputs: NDArray[np.uint8]) -> list[Watched]:
    """The chains of questions uint8 [m, S] until each is answered, or its limits are reached.

    Chains have the same numbers as in a search of the same questions and seed, and so the same
    random numbers; only here they come one after the other, so that with `chains` above 1 another
    one may be the first to answer, and more or fewer passes be needed.

    Args:
      search: its model, seed and limits are used, its batch size is not.
      params: of the model.
      inputs: m at least 1.
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
    """One round: the queue after it, whether it goes on, the slots' puzzles, and what they did."""
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
      slots: before it.
      limits: of the search.
    """
    deduced = seen.deduced
    probability = jnp.where(deduced.candidates, jax.nn.sigmoid(seen.said.candidates), 0)
    # a given's candidate may be unlikely and is left all the same
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
