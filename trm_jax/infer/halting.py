"""Halting in evaluation: a slot takes the next trajectory as soon as its own is confident.

The published evaluation takes all N steps for every puzzle. Here a trajectory (one attempt at a
question) leaves its slot once the halting head is confident, and the next one of the queue takes
the slot, so that all slots are busy until the queue is empty (continuous batching with static
shapes, in one compiled program). `infer/continuous_halting.py` does the same for questions that
arrive one by one.
"""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from jax.sharding import Mesh

from trm_jax.core.errors import UserError
from trm_jax.core.mesh import over_slots, replicated
from trm_jax.core.types import Latents, Output
from trm_jax.infer.perturbation import Perturbation
from trm_jax.infer.rollout import UNPERTURBED, OnDevices, answers_of
from trm_jax.models import AnyModel, puzzle_table
from trm_jax.models.weights import Weights


@dataclasses.dataclass(frozen=True)
class Halt:
    """The halting rule.

    Attributes:
      max_steps: maximum number of supervision steps.
      min_steps: minimum number of supervision steps.
      threshold: halting probability above which the model is confident; with 1 it never is.
      patience: number of consecutive steps for which the answer has to stay the same; 1 turns this
        condition off.
    """

    max_steps: int
    min_steps: int = 1
    threshold: float = 0.5
    patience: int = 1

    def __post_init__(self) -> None:
        """Checks the values.

        Raises:
          UserError: a value is out of range.
        """
        if not 1 <= self.min_steps <= self.max_steps or not self.patience >= 1:
            raise UserError(
                f"halting after {self.min_steps} to {self.max_steps} steps with patience "
                f"{self.patience} makes no sense; give a minimum of 1 or more steps that is not "
                "above the maximum, and a patience of 1 or more."
            )
        if not 0 < self.threshold <= 1:
            raise UserError(f"the halting threshold is {self.threshold}; it must be in (0, 1].")

    @property
    def logit(self) -> float:
        """The halting logit above which the model is confident."""
        return math.inf if self.threshold == 1 else math.log(self.threshold / (1 - self.threshold))


class Entries(struct.PyTreeNode):
    """A queue of M trajectories.

    Attributes:
      inputs: int32 [M, S], the question in the symmetric copy of this trajectory.
      ids: int32 [M], puzzle-table rows.
      question: int32 [M], index of the question among all questions; seeds the random numbers.
      trajectory: int32 [M], index among the trajectories of the question; seeds them as well.
      group: int32 [M], index of the question in this queue, below M.
    """

    inputs: jax.Array
    ids: jax.Array
    question: jax.Array
    trajectory: jax.Array
    group: jax.Array


class Finished(struct.PyTreeNode):
    """The results of a queue of M trajectories.

    Attributes:
      answers: uint8 [M, S], token ids.
      halt_logits: float32 [M], after the last step of each.
      steps: int32 [M], supervision steps of each; 0 where it was not run to its end.
      confident: bool [M], whether it ended because the model was confident.
      rounds: int32 (), supervision steps of the whole batch.
      work: int32 (), supervision steps summed over the slots, with those of stopped trajectories.
    """

    answers: jax.Array
    halt_logits: jax.Array
    steps: jax.Array
    confident: jax.Array
    rounds: jax.Array
    work: jax.Array


class Attempts(struct.PyTreeNode):
    """B trajectories between two steps.

    Attributes:
      latents: states [B, L, D], or candidates [B, S, C].
      steps: int32 [B], number of supervision steps so far.
      same: int32 [B], number of consecutive steps after which the answer was `last`.
      last: uint8 [B, S], the answer after the last step.
    """

    latents: Latents
    steps: jax.Array
    same: jax.Array
    last: jax.Array


class _Slots(struct.PyTreeNode):
    """The carry of the loop; `entry` is M or more for an idle slot."""

    attempts: Attempts
    entry: jax.Array
    next: jax.Array
    settled: jax.Array
    finished: Finished


def take_step(
    model: OnDevices,
    params: Any,
    attempts: Attempts,
    inputs: jax.Array,
    rows: jax.Array,
    halt: Halt,
) -> tuple[Attempts, Output, jax.Array]:
    """One supervision step of B trajectories.

    Args:
      model: the model; each device computes the step of its own slots.
      params: dense parameters.
      attempts: the trajectories before the step.
      inputs: int32 [B, S], the questions.
      rows: [B, E], their puzzle-table rows.
      halt: the halting rule.

    Returns:
      The trajectories after the step, the model's output, and bool [B], which are confident.
    """
    latents, output = model.supervision_step(params, attempts.latents, inputs, rows)
    answers = answers_of(output)
    steps = attempts.steps + 1
    same = jnp.where(jnp.all(answers == attempts.last, axis=-1), attempts.same + 1, 1)
    confident = (output.halt_logits > halt.logit) & (steps >= halt.min_steps)
    confident &= same >= halt.patience
    return Attempts(latents, steps, same, answers), output, confident


def begin_again(attempts: Attempts, fresh: jax.Array, latents: Latents) -> Attempts:
    """Starts the trajectories `fresh`, bool [B], from `latents`; the others are unchanged."""
    places = fresh[:, None, None]  # of states [B, L, D], or [B, S, C]
    states = tuple(
        jnp.where(places, new, state) for new, state in zip(latents, attempts.latents, strict=True)
    )
    zero = jnp.zeros((), jnp.int32)
    steps, same = (jnp.where(fresh, zero, count) for count in (attempts.steps, attempts.same))
    return attempts.replace(latents=states, steps=steps, same=same)


def answer_queue(
    model: AnyModel,
    weights: Weights,
    entries: Entries,
    count: jax.Array,
    *,
    slots: int,
    halt: Halt,
    mesh: Mesh,
    perturbation: Perturbation = UNPERTURBED,
    race: bool = False,
) -> Finished:
    """Runs the first `count` of M trajectories in `slots` slots.

    Args:
      model: from the registry.
      weights: usually the averaged ones.
      entries: the queue.
      count: int32 (); later entries are not run.
      slots: B, a multiple of the number of devices.
      halt: the halting rule.
      mesh: mesh that the slots are split over.
      perturbation: the random parts of a trajectory.
      race: once a trajectory is confident, those of its question with a higher index are stopped
        or not started. Lower ones continue, so that the first confident one does not depend on
        the batch.

    Returns:
      The results in the order of the queue; they do not depend on other entries of the batch.
    """
    start = _empty(model, weights, entries, slots, perturbation)
    split, everywhere = over_slots(mesh), replicated(mesh)
    names, most = model.state_names, entries.ids.shape[0]
    on_devices = OnDevices(model, mesh)

    def advance(now: _Slots) -> _Slots:
        mine: Entries = jax.tree.map(lambda a: a[jnp.minimum(now.entry, most - 1)], entries)
        rows = puzzle_table.lookup(weights.table, mine.ids, mesh)
        attempts = now.attempts
        if perturbation.random:
            keys = perturbation.keys(mine.question, mine.trajectory)
            latents = perturbation.disturb(names, attempts.latents, keys, attempts.steps)
            attempts = attempts.replace(latents=latents)
        attempts, output, confident = take_step(
            on_devices, weights.params, attempts, mine.inputs, rows, halt
        )
        busy = now.entry < count
        done = busy & (confident | (attempts.steps >= halt.max_steps))
        settled = now.settled
        free = done | ~busy
        if race:
            where = jnp.where(busy & confident, mine.group, most)
            settled = settled.at[where].min(mine.trajectory, mode="drop")
            free |= settled[mine.group] < mine.trajectory
        following, last = _following(now, entries, count, free, settled, race)
        finished = _write(
            now.finished,
            jnp.where(done, now.entry, most),
            busy,
            answers=attempts.last,
            halt_logits=output.halt_logits,
            steps=attempts.steps,
            confident=confident,
        )
        entry = jnp.where(free, following, now.entry)
        split_latents = jax.lax.with_sharding_constraint(attempts.latents, split)
        begin = _begin(model, weights, entries, entry, perturbation)
        return _Slots(
            attempts=begin_again(attempts.replace(latents=split_latents), free, begin),
            entry=entry,
            next=last,
            settled=jax.lax.with_sharding_constraint(settled, everywhere),
            finished=jax.lax.with_sharding_constraint(finished, everywhere),
        )

    return jax.lax.while_loop(lambda now: jnp.any(now.entry < count), advance, start).finished


def _following(
    now: _Slots, entries: Entries, count: jax.Array, free: jax.Array, settled: jax.Array, race: bool
) -> tuple[jax.Array, jax.Array]:
    """The entry that each free slot takes, int32 [B], and the first entry that none has taken."""
    order = jnp.cumsum(free.astype(jnp.int32))
    if not race:
        return now.next + order - 1, now.next + order[-1]
    most = entries.ids.shape[0]
    numbers = jnp.arange(most, dtype=jnp.int32)
    waiting = (numbers >= now.next) & (numbers < count)
    waiting &= settled[entries.group] >= entries.trajectory
    place = jnp.where(waiting, jnp.cumsum(waiting.astype(jnp.int32)) - 1, most)
    queue = jnp.full((most,), most, jnp.int32).at[place].set(numbers, mode="drop")
    following = queue.at[order - 1].get(mode="fill", fill_value=most)
    taken = jnp.where(free & (following < most), following + 1, now.next)
    return following, jnp.maximum(now.next, jnp.max(taken))


def _empty(
    model: AnyModel, weights: Weights, entries: Entries, slots: int, perturbation: Perturbation
) -> _Slots:
    most, cells = entries.inputs.shape
    zeros = jnp.zeros((slots,), jnp.int32)
    first = jnp.arange(slots, dtype=jnp.int32)
    return _Slots(
        attempts=Attempts(
            latents=_begin(model, weights, entries, first, perturbation),
            steps=zeros,
            same=zeros,
            last=jnp.zeros((slots, cells), jnp.uint8),
        ),
        entry=first,
        next=jnp.asarray(slots, jnp.int32),
        settled=jnp.full((most,), jnp.iinfo(jnp.int32).max, jnp.int32),
        finished=Finished(
            answers=jnp.zeros((most, cells), jnp.uint8),
            halt_logits=jnp.zeros((most,), jnp.float32),
            steps=jnp.zeros((most,), jnp.int32),
            confident=jnp.zeros((most,), bool),
            rounds=jnp.zeros((), jnp.int32),
            work=jnp.zeros((), jnp.int32),
        ),
    )


def _begin(
    model: AnyModel,
    weights: Weights,
    entries: Entries,
    entry: jax.Array,
    perturbation: Perturbation,
) -> Latents:
    """The states [B, L, D] that entries [B] begin with."""
    place = jnp.minimum(entry, entries.ids.shape[0] - 1)
    latents = model.start(weights.initial, entries.inputs[place])
    if not perturbation.random:
        return latents
    keys = perturbation.keys(entries.question[place], entries.trajectory[place])
    return perturbation.begin(model.state_names, latents, keys)


def _write(finished: Finished, where: jax.Array, busy: jax.Array, **values: jax.Array) -> Finished:
    """Writes values to the entries `where`; indices beyond the end are dropped."""
    written: dict[str, Any] = {
        name: getattr(finished, name).at[where].set(value, mode="drop")
        for name, value in values.items()
    }
    work = finished.work + jnp.sum(busy.astype(jnp.int32))
    return finished.replace(**written, rounds=finished.rounds + 1, work=work)
