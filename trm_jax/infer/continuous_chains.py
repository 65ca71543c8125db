"""Continuous batching of lattice models: the search of `infer.chain_search` with changing puzzles.

A row without a puzzle is represented as a puzzle whose passes are used up.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from trm_jax.core.mesh import replicated, to_global, whole_slots
from trm_jax.infer.chain_search import ChainSearch, Played, Puzzles, Queue, new_puzzles
from trm_jax.infer.continuous import ENTERS, LEAVES, Advanced, Continuous, Entering, Report
from trm_jax.infer.watch import GUESSED, SOLVED, Watched, record_of


class _Loop(struct.PyTreeNode):
    """The carry of a call's loop: the queue, the rounds taken, rows done (bool [M]), a record."""

    queue: Queue
    taken: jax.Array
    done: jax.Array
    record: Any


class ContinuousChains(Continuous):
    """The search of a lattice model; it gives an answer that the rules accept, or none.

    All puzzles have the number 0, so that the chains of a puzzle are the same as in a search of
    this puzzle alone, whatever else is searched.
    """

    abstains = True

    def __init__(self, search: ChainSearch, params: Any, rounds_per_call: int) -> None:
        """Compiles the program; it has as many rows as slots, so that each puzzle can have one.

        Args:
          search: search of the model.
          params: dense parameters of the model.
          rounds_per_call: maximum number of rounds of a call.
        """
        self.search, self.rounds_per_call = search, rounds_per_call
        self.rows = self.slots = whole_slots(search.batch_size, search.mesh)
        cells = search.model.config.cells
        super().__init__(params, search.mesh, cells, self.rows, self.slots)

    def part_of(self, row: int, advanced: Advanced) -> list[tuple[int, Watched]]:
        """See `Continuous`: each round of each chain of the row, with the chain's index."""
        puzzle, chain, fields = advanced.record
        places = np.argwhere(puzzle[: int(advanced.report.taken)] == row).tolist()
        return [
            (int(chain[t, slot]), Watched(*(np.array(a[t, slot]) for a in fields)))
            for t, slot in places
        ]

    def path_of(self, parts: list[Any]) -> Watched:
        """See `Continuous`: the chains of the puzzle, in the order in which they ended.

        Chains that were stopped by the answer of another one are left out, unless there are no
        others.
        """
        chains: dict[int, list[Watched]] = {}
        ended: list[list[Watched]] = []
        for number, each in (pair for part in parts for pair in part):
            chains.setdefault(number, []).append(each)
            if each.ends != GUESSED:
                ended.append(chains.pop(number))
        # of several chains that end in the same round, one with an answer comes last
        ended.sort(key=lambda chain: bool(chain[-1].ends == SOLVED))
        first_answer = next((i for i, c in enumerate(ended) if c[-1].ends == SOLVED), len(ended))
        shown = ended[: first_answer + 1] or list(chains.values())[:1]
        rounds = [each for chain in shown for each in chain]
        return Watched(*(np.stack(arrays) for arrays in zip(*rounds, strict=True)))

    def _begin(self) -> Queue:
        search = self.search
        nothing = new_puzzles(np.zeros((self.rows, search.model.config.cells), np.uint8))
        used_up = np.full((self.rows,), search.limits.passes, np.int32)
        puzzles = to_global(nothing.replace(passes=used_up), replicated(search.mesh))
        return Queue(puzzles, search.idle_slots(self.slots, self.rows))

    def _advance(
        self, weights: Any, state: Queue, entering: Entering, *, record: bool
    ) -> tuple[Queue, Report, Any]:
        search = self.search
        queue = self._change(state, entering)
        over = search.over(queue.puzzles)
        chains = self._share(over)

        def goes_on(now: _Loop) -> jax.Array:
            left = (now.taken < self.rounds_per_call) & ~jnp.all(over)
            return left & ~jnp.any(now.done)

        def step(now: _Loop) -> _Loop:
            queue, kept = now.queue, now.record
            seen = search.see(weights, queue.puzzles, queue.slots)
            if record:
                new = self._record(queue, seen)
                kept = jax.tree.map(lambda a, new: a.at[now.taken].set(new), kept, new)
            queue, _ = search.finish(queue, seen, chains)
            return _Loop(queue, now.taken + 1, search.over(queue.puzzles) & ~over, kept)

        start = _Loop(
            queue=search.assign_idle(queue, chains),
            taken=jnp.zeros((), jnp.int32),
            done=jnp.zeros((self.rows,), bool),
            record=self._empty_record() if record else (),
        )
        end = jax.lax.while_loop(goes_on, step, start)
        puzzles = end.queue.puzzles
        report = Report(
            done=end.done,
            answers=puzzles.answers,
            confident=puzzles.solved,
            confidence=puzzles.solved.astype(jnp.float32),
            steps=puzzles.rounds,
            passes=puzzles.passes,
            taken=end.taken,
        )
        return end.queue, report, end.record

    def _change(self, queue: Queue, entering: Entering) -> Queue:
        """The queue with the puzzles that enter and without those that leave."""
        old = queue.puzzles
        enters, leaves = (entering.change == what for what in (ENTERS, LEAVES))
        zero = jnp.zeros((), jnp.int32)
        passes = jnp.where(leaves, self.search.limits.passes, old.passes)
        puzzles = Puzzles(
            inputs=jnp.where(enters[:, None], entering.inputs.astype(jnp.int32), old.inputs),
            answers=old.answers,
            solved=old.solved & ~enters,
            passes=jnp.where(enters, zero, passes),
            rounds=jnp.where(enters, zero, old.rounds),
            chains=jnp.where(enters, zero, old.chains),
            number=old.number,
        )
        slots = queue.slots
        changed = enters | leaves
        given_up = changed.at[slots.puzzle].get(mode="fill", fill_value=False)
        puzzle = jnp.where(given_up, self.rows, slots.puzzle)
        return Queue(puzzles, slots.replace(puzzle=puzzle))

    def _share(self, over: jax.Array) -> jax.Array:
        """Maximum number of chains of a puzzle at the same time, int32 ().

        It decreases with the number of puzzles, down to 1, so that half of the slots stay free for
        new puzzles as long as possible.
        """
        searched = jnp.sum((~over).astype(jnp.int32))
        share = self.slots // jnp.maximum(2 * searched, 1)
        return jnp.clip(share, 1, self.search.limits.chains).astype(jnp.int32)

    def _record(self, queue: Queue, seen: Played) -> Any:
        """The record of a round of all slots: rows, chains, and the fields of `Watched`."""
        slots = queue.slots
        probability, *others = record_of(seen, slots, self.search.limits)
        return slots.puzzle, slots.chain, (probability.astype(jnp.float16), *others)

    def _empty_record(self) -> Any:
        """Zeros [k, B, ...] for the records of the k rounds of a call."""

        def take_round(weights: Any, queue: Queue) -> Any:
            return self._record(queue, self.search.see(weights, queue.puzzles, queue.slots))

        one = jax.eval_shape(take_round, self._weights, self._state)
        return jax.tree.map(lambda a: jnp.zeros((self.rounds_per_call, *a.shape), a.dtype), one)
