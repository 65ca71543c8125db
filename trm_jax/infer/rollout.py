"""The evaluation rollout: all supervision steps of a batch in one compiled scan."""

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
    """A model's output after each of N supervision steps.

    Attributes:
      predictions: uint8 [N, B, S], predicted token ids.
      halt_logits: float32 [N, B].
      confidence: float16 [N, B, S], stable-max probability of each predicted token; None unless
        the rollout records it.
    """

    predictions: Any
    halt_logits: Any
    confidence: Any = None


class Rollout:
    """The compiled rollout of a model: any number of questions, in batches of one size.

    Evaluation, solving, showing, curves and plans all run this program; exported programs are
    built from the same `take_steps`.
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
        """Builds the program; the first call compiles it.

        Args:
          model: from the registry.
          mesh: mesh that the questions are split over; the weights are on it as in training.
          steps: number of supervision steps; may exceed the N of training.
          batch_size: questions per batch; rounded up to a multiple of the devices.
          perturbation: randomness of the trajectories; none by default.
          confidence: whether to record the probability of each predicted token.
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
        """Predicts the answers to questions; the last batch is padded and its padding removed.

        Args:
          weights: weights of the model, usually the averaged ones.
          inputs: uint8 [m, S], the questions; m at least 1.
          ids: int [m], their puzzle-table rows; row 0 by default.
          question: int [m], indices that seed the randomness, see `Perturbation.keys`; 0 by
            default.
          trajectory: int [m], likewise.

        Returns:
          NumPy arrays, [N, m, ...] each.
        """
        count = len(inputs)
        nothing = np.zeros(count, np.int32)
        given = (inputs, *(nothing if a is None else a for a in (ids, question, trajectory)))
        parts = []
        for first in range(0, count, self.batch_size):
            # padded with the last question, so that the program is compiled only once
            places = np.minimum(np.arange(first, first + self.batch_size), count - 1)
            batch = split_slots(tuple(a[places].astype(np.int32) for a in given), self.mesh)
            parts.append(jax.device_get(self.program(weights, *batch)))
        return jax.tree.map(lambda *a: np.concatenate(a, axis=1)[:, :count], *parts)


def _record(output: Output) -> Answers:
    return Answers(answers_of(output), output.halt_logits)


def answers_and_confidence(output: Output) -> Answers:
    """The answers after one step, with the halting logits and the probability of each token."""
    answers = answers_of(output)
    # in bfloat16 the difference of two logarithms would turn 99 % into 100 %
    logs = log_stablemax(output.logits.astype(jnp.float32))
    chosen = jnp.take_along_axis(logs, answers[..., None].astype(jnp.int32), axis=-1)[..., 0]
    return Answers(answers, output.halt_logits, jnp.exp(chosen).astype(jnp.float16))


class OnDevices:
    """A model whose supervision step runs on each device of a mesh with the device's own slots.

    The compiler would partition most of the step in the same way, but not custom kernels, which it
    cannot split, nor attention, whose implementation depends on the devices.
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
    """Runs supervision steps in one scan.

    Args:
      model: from the registry.
      params: dense parameters.
      initial: the fixed initial vectors, each [D].
      inputs: int32 [B, S], the questions.
      rows: [B, E], their puzzle-table rows.
      steps: number of supervision steps; there is no early halting.
      record: maps the output of one step to a tree of arrays to keep; by default to `Answers`.
      perturbation: randomness of the trajectories; none by default.
      keys: [B], from `Perturbation.keys`; needed if `perturbation.random`.

    Returns:
      The tree of `record`, each array with a leading axis of length `steps`.
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
    """The most probable token of each cell, uint8 [B, S]."""
    return jnp.argmax(output.logits, axis=-1).astype(jnp.uint8)
