"""Dimension names, and the records that models and training exchange.

The only single-letter names in the code base:

    B batch slots          S puzzle cells            P prefix tokens
    L = P + S tokens       D width                   V vocabulary
    E puzzle-row width     R puzzle-table rows
    T outer recursions     n latent updates per recursion
    N max supervision steps                          K parallel rollouts or chains
    C candidates of a cell (lattice models): the V token ids without pad and blank

`y` is the answer state, `z` the latent state, `x` the embedded question, as in the paper
("Less is More: Recursive Reasoning with Tiny Networks", arXiv 2510.04871).
"""

import jax
from flax import struct

IGNORE = -100
"""Label of a cell that counts neither in the loss nor in a score."""

Latents = tuple[jax.Array, ...]
"""The states that a model carries from one supervision step to the next; for TRM (y, z). The
output heads read the first one."""


class Batch(struct.PyTreeNode):
    """Questions with their answers.

    Attributes:
      inputs: int32 [B, S], token ids of the question.
      labels: int32 [B, S], token ids of the answer, IGNORE where a cell is not counted.
      ids: int32 [B], puzzle-table row of each example.
    """

    inputs: jax.Array
    labels: jax.Array
    ids: jax.Array


class Output(struct.PyTreeNode):
    """Output of one supervision step.

    Attributes:
      logits: [B, S, V] in the activations' dtype.
      halt_logits: float32 [B]; positive if the model predicts that its answer is right.
      continue_logits: float32 [B]; used only by variants that halt as HRM does.
    """

    logits: jax.Array
    halt_logits: jax.Array
    continue_logits: jax.Array


class Carry(struct.PyTreeNode):
    """State of each batch slot between optimizer updates.

    Attributes:
      latents: the model's states, each [B, L, D]; with several chains (see `train.chains`) all but
        the first are [B, K, L, D].
      steps: int32 [B], number of supervision steps on the current example.
      halted: bool [B]; a halted slot takes a new example at the next update.
      batch: the current example of each slot.
    """

    latents: Latents
    steps: jax.Array
    halted: jax.Array
    batch: Batch
