"""The compiled evaluation rollout: every supervision step of a batch in one scan."""

import jax
import jax.numpy as jnp
from flax import struct
from jax.sharding import Mesh

from trm_jax import puzzle_table
from trm_jax.models import Model
from trm_jax.state import Weights
from trm_jax.types import Latents


class Rollout(struct.PyTreeNode):
    """The answers after each supervision step.

    Attributes:
      predictions: uint8 [N, B, S], token ids.
      halt_logits: float32 [N, B].
    """

    predictions: jax.Array
    halt_logits: jax.Array


def rollout(
    model: Model, weights: Weights, inputs: jax.Array, ids: jax.Array, steps: int, mesh: Mesh
) -> Rollout:
    """Takes `steps` supervision steps from the initial vectors, none of them cut short.

    Args:
      model: from the registry.
      weights: averaged, usually.
      inputs: int32 [B, S], the questions.
      ids: int32 [B], puzzle-table rows.
      steps: depth; may exceed the N of training.
      mesh: over which a large puzzle table is split.

    Returns:
      The answers at every depth 1..steps.
    """
    c = model.config
    rows = puzzle_table.lookup(weights.table, ids, mesh)
    shape = (inputs.shape[0], c.tokens, c.width)
    start = tuple(
        jnp.broadcast_to(vector.astype(c.dtype)[None, None], shape) for vector in weights.initial
    )

    def step(latents: Latents, _: None) -> tuple[Latents, Rollout]:
        latents, output = model.supervision_step(weights.params, latents, inputs, rows)
        answers = jnp.argmax(output.logits, axis=-1).astype(jnp.uint8)
        return latents, Rollout(predictions=answers, halt_logits=output.halt_logits)

    _, steps_taken = jax.lax.scan(step, start, None, length=steps)
    return steps_taken
