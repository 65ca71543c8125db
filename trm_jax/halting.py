"""Answers that stop when they are believed to be right: finished slots take the next question.

Published evaluation takes all N steps for every puzzle. Here a question leaves its slot once the
halting head is sure of it, and the next one of the queue moves in, so that all slots are busy until
the queue is empty (continuous batching, with static shapes, in one program).
"""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from jax.sharding import Mesh

from trm_jax import puzzle_table
from trm_jax.errors import UserError
from trm_jax.mesh import over_slots, replicated
from trm_jax.models import Model
from trm_jax.rollout import answers_of, start_latents
from trm_jax.state import Weights
from trm_jax.types import Latents


@dataclasses.dataclass(frozen=True)
class Halt:
    """When to stop.

    Attributes:
      most: supervision steps at most.
      least: supervision steps at least.
      threshold: halting probability above which an answer is believed.
      patience: the answer has to be the same after so many steps in a row; 1 asks for nothing.
    """

    most: int
    least: int = 1
    threshold: float = 0.5
    patience: int = 1

    def __post_init__(self) -> None:
        """Refuses what makes no sense."""
        if not 1 <= self.least <= self.most or not self.patience >= 1:
            raise UserError(
                f"halting after {self.least} to {self.most} steps with patience {self.patience} "
                "makes no sense; give 1 or more steps, no more at least than at most."
            )
        if not 0 < self.threshold < 1:
            raise UserError(f"the halting threshold is {self.threshold}; it must be in (0, 1).")


class Finished(struct.PyTreeNode):
    """The answers of a queue of M questions.

    Attributes:
      answers: uint8 [M, S], token ids.
      halt_logits: float32 [M], of the step after which each was taken.
      steps: int32 [M], supervision steps that each had; 0 beyond the queue's end.
      rounds: int32 (), supervision steps of the whole batch.
    """

    answers: jax.Array
    halt_logits: jax.Array
    steps: jax.Array
    rounds: jax.Array


class _Slots(struct.PyTreeNode):
    """What the loop carries; `question` is M and more where a slot has nothing to do."""

    latents: Latents
    question: jax.Array
    steps: jax.Array
    same: jax.Array
    last: jax.Array
    next: jax.Array
    finished: Finished


def answer_queue(
    model: Model,
    weights: Weights,
    inputs: jax.Array,
    ids: jax.Array,
    count: jax.Array,
    *,
    slots: int,
    halt: Halt,
    mesh: Mesh,
) -> Finished:
    """Answers the first `count` of M questions in `slots` slots.

    Args:
      model: from the registry.
      weights: averaged, usually.
      inputs: int32 [M, S].
      ids: int32 [M], puzzle-table rows.
      count: int32 (); the questions behind are not asked.
      slots: B, a multiple of the devices.
      halt: when to stop.
      mesh: slots are split over it.

    Returns:
      In the order of the questions; what a slot answers does not depend on its neighbours.
    """
    start = _empty(model, weights, inputs, slots)
    split, everywhere = over_slots(mesh), replicated(mesh)
    sure = math.log(halt.threshold / (1 - halt.threshold))

    def take_step(now: _Slots) -> _Slots:
        place = jnp.minimum(now.question, inputs.shape[0] - 1)
        rows = puzzle_table.lookup(weights.table, ids[place], mesh)
        latents, output = model.supervision_step(weights.params, now.latents, inputs[place], rows)
        answers = answers_of(output)
        steps = now.steps + 1
        same = jnp.where(jnp.all(answers == now.last, axis=-1), now.same + 1, 1)
        believed = (output.halt_logits > sure) & (steps >= halt.least) & (same >= halt.patience)
        done = (now.question < count) & (believed | (steps >= halt.most))
        finished = _write(now.finished, now.question, done, answers, output.halt_logits, steps)
        order = jnp.cumsum(done.astype(jnp.int32))
        moved = now.replace(
            latents=jax.lax.with_sharding_constraint(latents, split),
            question=jnp.where(done, now.next + order - 1, now.question),
            steps=steps,
            same=same,
            last=answers,
            next=now.next + order[-1],
            finished=jax.lax.with_sharding_constraint(finished, everywhere),
        )
        return _refill(moved, done, start_latents(model, weights.initial, slots))

    return jax.lax.while_loop(lambda now: jnp.any(now.question < count), take_step, start).finished


def _empty(model: Model, weights: Weights, inputs: jax.Array, slots: int) -> _Slots:
    questions, cells = inputs.shape
    zeros = jnp.zeros((slots,), jnp.int32)
    return _Slots(
        latents=start_latents(model, weights.initial, slots),
        question=jnp.arange(slots, dtype=jnp.int32),
        steps=zeros,
        same=zeros,
        last=jnp.zeros((slots, cells), jnp.uint8),
        next=jnp.asarray(slots, jnp.int32),
        finished=Finished(
            answers=jnp.zeros((questions, cells), jnp.uint8),
            halt_logits=jnp.zeros((questions,), jnp.float32),
            steps=jnp.zeros((questions,), jnp.int32),
            rounds=jnp.zeros((), jnp.int32),
        ),
    )


def _write(
    finished: Finished, question: jax.Array, done: jax.Array, *values: jax.Array
) -> Finished:
    """Puts what is done where its questions stand; the rest goes nowhere."""
    nowhere = jnp.asarray(finished.steps.shape[0], jnp.int32)
    where = jnp.where(done, question, nowhere)
    names = ("answers", "halt_logits", "steps")
    written: dict[str, Any] = {
        name: getattr(finished, name).at[where].set(value, mode="drop")
        for name, value in zip(names, values, strict=True)
    }
    return finished.replace(**written, rounds=finished.rounds + 1)


def _refill(slots: _Slots, done: jax.Array, start: Latents) -> _Slots:
    """Slots that are done begin anew."""
    fresh = done[:, None, None]
    latents = tuple(
        jnp.where(fresh, new, state) for new, state in zip(start, slots.latents, strict=True)
    )
    zero = jnp.zeros((), jnp.int32)
    steps, same = (jnp.where(done, zero, count) for count in (slots.steps, slots.same))
    return slots.replace(latents=latents, steps=steps, same=same)
