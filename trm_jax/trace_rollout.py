"""The rollout that is watched: every supervision step, and how sure the model is of every cell."""

import jax
import jax.numpy as jnp
from flax import struct
from jax.sharding import Mesh

from trm_jax import puzzle_table
from trm_jax.models import Model
from trm_jax.numerics import log_stablemax
from trm_jax.state import Weights
from trm_jax.types import Latents


class Watched(struct.PyTreeNode):
    """What is seen after each supervision step.

    Attributes:
      answers: uint8 [N, B, S], token ids.
      confidence: float16 [N, B, S], the stable-max probability of each of them, 0 to 1.
      halt_logits: float32 [N, B].
    """

    answers: jax.Array
    confidence: jax.Array
    halt_logits: jax.Array


def watch(
    model: Model, weights: Weights, inputs: jax.Array, ids: jax.Array, steps: int, mesh: Mesh
) -> Watched:
    """Takes the steps of `rollout.rollout`, none cut short, and keeps the probabilities too.

    Args:
      model: from the registry.
      weights: averaged, usually.
      inputs: int32 [B, S], the questions.
      ids: int32 [B], puzzle-table rows.
      steps: depth; may exceed the N of training.
      mesh: over which a large puzzle table is split.
    """
    c = model.config
    rows = puzzle_table.lookup(weights.table, ids, mesh)
    shape = (inputs.shape[0], c.tokens, c.width)
    start = tuple(
        jnp.broadcast_to(vector.astype(c.dtype)[None, None], shape) for vector in weights.initial
    )

    def step(latents: Latents, _: None) -> tuple[Latents, Watched]:
        latents, output = model.supervision_step(weights.params, latents, inputs, rows)
        answers = jnp.argmax(output.logits, axis=-1)
        # bfloat16 would round 99 % to 100 %
        logs = log_stablemax(output.logits.astype(jnp.float32))
        chosen = jnp.take_along_axis(logs, answers[..., None], axis=-1)[..., 0]
        sure = jnp.exp(chosen).astype(jnp.float16)
        return latents, Watched(answers.astype(jnp.uint8), sure, output.halt_logits)

    _, seen = jax.lax.scan(step, start, None, length=steps)
    return seen
