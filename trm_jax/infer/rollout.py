"""The evaluation rollout: every supervision step of a batch in one scan, compiled in one place."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax.sharding import Mesh, PartitionSpec
from numpy.typing import NDArray

from trm_jax.core.mesh import SLOTS, replicated, split_slots, whole_slots
from trm_jax.core.numerics import log_stablemax
from trm_jax.core.types import Latents, Output
from trm_jax.infer.perturbation import Perturbation
from trm_jax.models import AnyModel, puzzle_table
from trm_jax.models.weights import Weights

UNPERTURBED = Perturbation()


class Answers(struct.PyTreeNode):
    """What a model says after each supervision step.

    Attributes:
      predictions: uint8 [N, B, S], token ids.
      halt_logits: float32 [N, B].
      confidence: float16 [N, B, S], the stable-max probability of each of the tokens, 0 to 1; None
        unless it is asked for.
    """

    predictions: Any
    halt_logits: Any
    confidence: Any = None


class Rollout:
    """The compiled rollout of a model, for any number of questions in calls of one size.

    Evaluation, solving, showing, curves and plans all run this program; exported programs are made
    of the same `take_steps`.
    """

    def __init__(
        self,
        model: AnyModel,
        mesh: Mesh,
        steps: int,
        batch_size: int,
        *,
        perturbation: Perturbation = UNPERTURBED,
        confidence: bool = False,
    ) -> None:
        """Describes the program; it is compiled by its first call.

        Args:
          model: from the registry.
          mesh: questions are split over it; the weights lie on it as in training.
          steps: depth; may exceed the N of training.
          batch_size: questions per call; rounded up to what the mesh can split.
          perturbation: what is random.
          confidence: whether the probability of each token is kept, too.
        """
        self.model, self.mesh, self.steps = model, mesh, steps
        self.batch_size = whole_slots(batch_size, mesh)

        def run(weights: Weights, inputs: Any, ids: Any, question: Any, trajectory: Any) -> Answers:
            keys = perturbation.keys(question, trajectory) if perturbation.random else None
            rows = puzzle_table.lookup(weights.table, ids, mesh)
            return take_steps(
                OnDevices(model, mesh),
                weights.params,
                weights.initial,
                inputs,
                rows,
                steps,
                answers_and_confidence if confidence else _record,
                perturbation,
                keys,
            )

        self.program: Any = jax.jit(run, out_shardings=replicated(mesh))

    def __call__(
        self,
        weights: Weights,
        inputs: NDArray[np.uint8],
        ids: NDArray[np.integer] | None = None,
        question: NDArray[np.integer] | None = None,
        trajectory: NDArray[np.integer] | None = None,
    ) -> Answers:
        """Answers questions; the last call of the program is filled up and its padding left out.

        Args:
          weights: averaged, usually.
          inputs: uint8 [m, S], the questions; m at least 1.
          ids: [m], their puzzle-table rows; None is row 0.
          question: [m], numbers from which randomness comes, see `Perturbation.keys`; None is 0.
          trajectory: [m], likewise.

        Returns:
          NumPy arrays, [N, m, ...] each.
        """
        count = len(inputs)
        nothing = np.zeros(count, np.int32)
        given = (inputs, *(nothing if a is None else a for a in (ids, question, trajectory)))
        parts = []
        for first in range(0, count, self.batch_size):
            # the last question repeated, so that the program is compiled once
            places = np.minimum(np.arange(first, first + self.batch_size), count - 1)
            batch = split_slots(tuple(a[places].astype(np.int32) for a in given), self.mesh)
            parts.append(jax.device_get(self.program(weights, *batch)))
        return jax.tree.map(lambda *a: np.concatenate(a, axis=1)[:, :count], *parts)


def _record(output: Output) -> Answers:
    return Answers(answers_of(output), output.halt_logits)


def answers_and_confidence(output: Output) -> Answers:
    """What a model says after one step, the probability of each token included."""
    answers = answers_of(output)
    # bfloat16 would round 99 % to 100 %
    logs = log_stablemax(output.logits.astype(jnp.float32))
    chosen = jnp.take_along_axis(logs, answers[..., None].astype(jnp.int32), axis=-1)[..., 0]
    return Answers(answers, output.halt_logits, jnp.exp(chosen).astype(jnp.float16))


class OnDevices:
    """A model whose supervision step each device of a mesh takes with its own slots.

    The compiler alone would split it in the same way, but for kernels, which it cannot split, and
    the implementation of attention, which depends on the devices.
    """

    def __init__(self, model: AnyModel, mesh: Mesh) -> None:
        self.config, self.state_names = model.config, model.state_names
        self.start = model.start
        everywhere, split = PartitionSpec(), PartitionSpec(SLOTS)
        self.supervision_step: Any = jax.shard_map(
            model.supervision_step,
            mesh=mesh,
            in_specs=(everywhere, split, split, split),
            out_specs=(split, split),
            check_vma=False,
        )


def take_steps(
    model: AnyModel | OnDevices,
    params: Any,
    initial: Sequence[jax.Array],
    inputs: jax.Array,
    rows: jax.Array,
    steps: int,
    record: Callable[[Output], Any] = _record,
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
      steps: how many, none of them cut short.
      record: of the output of one step, a tree of arrays; by default `Answers`.
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

    start = model.start(initial, inputs)
    if keys is not None:
        start = perturbation.begin(names, start, keys)
    return jax.lax.scan(step, start, jnp.arange(steps, dtype=jnp.int32))[1]


def answers_of(output: Output) -> jax.Array:
    """The likeliest token of each cell, uint8 [B, S]."""
    return jnp.argmax(output.logits, axis=-1).astype(jnp.uint8)
