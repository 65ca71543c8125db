"""The compiled evaluation rollout: every supervision step of a batch in one scan."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from jax.sharding import Mesh

from trm_jax.core.types import Latents, Output
from trm_jax.infer.perturbation import Perturbation
from trm_jax.models import Model, puzzle_table
from trm_jax.train.state import Weights

UNPERTURBED = Perturbation()


class Rollout(struct.PyTreeNode):
    """The answers after each supervision step.

    Attributes:
      predictions: uint8 [N, B, S], token ids.
      halt_logits: float32 [N, B].
    """

    predictions: jax.Array
    halt_logits: jax.Array


def rollout(
    model: Model,
    weights: Weights,
    inputs: jax.Array,
    ids: jax.Array,
    steps: int,
    mesh: Mesh,
    perturbation: Perturbation = UNPERTURBED,
    keys: jax.Array | None = None,
) -> Rollout:
    """Takes `steps` supervision steps from the initial vectors, none of them cut short.

    Args:
      model: from the registry.
      weights: averaged, usually.
      inputs: int32 [B, S], the questions.
      ids: int32 [B], puzzle-table rows.
      steps: depth; may exceed the N of training.
      mesh: over which a large puzzle table is split.
      perturbation: what is random.
      keys: [B], from `Perturbation.keys`; needed where anything is.

    Returns:
      The answers at every depth 1..steps.
    """
    rows = puzzle_table.lookup(weights.table, ids, mesh)

    def record(output: Output) -> Rollout:
        return Rollout(predictions=answers_of(output), halt_logits=output.halt_logits)

    return take_steps(
        model, weights.params, weights.initial, inputs, rows, steps, record, perturbation, keys
    )


def take_steps(
    model: Model,
    params: Any,
    initial: Sequence[jax.Array],
    inputs: jax.Array,
    rows: jax.Array,
    steps: int,
    record: Callable[[Output], Any],
    perturbation: Perturbation = UNPERTURBED,
    keys: jax.Array | None = None,
) -> Any:
    """Supervision steps in one scan, of which is kept what `record` makes of each output.

    Args:
      model: from the registry.
      params: dense parameters.
      initial: the fixed initial vectors, each [D].
      inputs: int32 [B, S], the questions.
      rows: [B, E], their puzzle-table rows.
      steps: how many.
      record: of the output of one step, a tree of arrays.
      perturbation: what is random.
      keys: [B], from `Perturbation.keys`; needed where anything is.

    Returns:
      That tree, each array with a leading axis of `steps`.
    """
    names, slots = model.state_names, inputs.shape[0]

    def step(latents: Latents, taken: jax.Array) -> tuple[Latents, Any]:
        if keys is not None:
            latents = perturbation.disturb(names, latents, keys, jnp.broadcast_to(taken, (slots,)))
        latents, output = model.supervision_step(params, latents, inputs, rows)
        return latents, record(output)

    start = start_latents(model, initial, slots)
    if keys is not None:
        start = perturbation.begin(names, start, keys)
    return jax.lax.scan(step, start, jnp.arange(steps, dtype=jnp.int32))[1]


def start_latents(model: Model, initial: Sequence[jax.Array], slots: int) -> Latents:
    """The states [B, L, D] that every example begins with, see `Model.evaluation_start`."""
    c = model.config
    shape = (slots, c.tokens, c.width)
    start = model.evaluation_start(initial)
    return tuple(jnp.broadcast_to(v.astype(c.dtype), shape) for v in start)


def answers_of(output: Output) -> jax.Array:
    """The likeliest token of each cell, uint8 [B, S]."""
    return jnp.argmax(output.logits, axis=-1).astype(jnp.uint8)
