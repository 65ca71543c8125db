"""The rollout that is watched: every supervision step, and how sure the model is of every cell."""

import jax
import jax.numpy as jnp
from flax import struct
from jax.sharding import Mesh

from trm_jax.core.numerics import log_stablemax
from trm_jax.core.types import Output
from trm_jax.infer.rollout import answers_of, take_steps
from trm_jax.models import Model, puzzle_table
from trm_jax.train.state import Weights


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
    rows = puzzle_table.lookup(weights.table, ids, mesh)

    def record(output: Output) -> Watched:
        answers = answers_of(output)
        # bfloat16 would round 99 % to 100 %
        logs = log_stablemax(output.logits.astype(jnp.float32))
        chosen = jnp.take_along_axis(logs, answers[..., None].astype(jnp.int32), axis=-1)[..., 0]
        return Watched(answers, jnp.exp(chosen).astype(jnp.float16), output.halt_logits)

    return take_steps(model, weights.params, weights.initial, inputs, rows, steps, record)
