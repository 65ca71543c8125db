"""The legend: the dimension letters, and the records that models and training hand on.

The only single letters in the code base:

    B batch slots          S puzzle cells            P prefix tokens
    L = P + S tokens       D width                   V vocabulary
    E puzzle-row width     R puzzle-table rows
    T outer recursions     n latent updates per recursion
    N supervision steps at most                      K parallel rollouts or chains
    C candidates of a cell (lattice models): the V token ids without pad and blank

`y` is the answer state, `z` the latent state, `x` the embedded question, as in the paper
("Less is More: Recursive Reasoning with Tiny Networks", arXiv 2510.04871).
"""

import jax
from flax import struct

IGNORE = -100
"""Label of a cell that is not counted, neither in the loss nor in a score."""

Latents = tuple[jax.Array, ...]
"""The states that a model carries from one supervision step to the next; TRM: (y, z). The heads
read the first."""


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
    """What one supervision step says.

    Attributes:
      logits: [B, S, V] in the activations' dtype.
      halt_logits: float32 [B]; positive means "my answer is right, stop".
      continue_logits: float32 [B]; read only by the continue loss.
    """

    logits: jax.Array
    halt_logits: jax.Array
    continue_logits: jax.Array


class Carry(struct.PyTreeNode):
    """What each batch slot takes along from one optimizer update to the next.

    Attributes:
      latents: the model's states, each [B, L, D]; with several chains (see `train.chains`) all but
        the first [B, K, L, D].
      steps: int32 [B], supervision steps this example has had.
      halted: bool [B]; a halted slot takes a new example at the next step.
      batch: the example that each slot is busy with.
    """

    latents: Latents
    steps: jax.Array
    halted: jax.Array
    batch: Batch
