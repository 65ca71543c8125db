"""The rollout as a function of plain dicts, which is exported."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import export
from numpy.typing import NDArray

from trm_jax.core.types import Output
from trm_jax.infer.rollout import answers_of, take_steps
from trm_jax.models import AnyModel, get_model
from trm_jax.models.settings import PLAIN
from trm_jax.models.weights import Weights

PLATFORMS = ("cpu", "cuda", "tpu")
ANY = "any"

Function = Callable[[Any, jax.Array, jax.Array], tuple[jax.Array, jax.Array]]


def make_function(model: AnyModel, steps: int) -> Function:
    """The rollout as a function with the puzzle table's rows as an input.

    The table itself is not part of the program, which is therefore independent of its sharding.

    Args:
      model: from the registry.
      steps: number of supervision steps, N.

    Returns:
      A function of weights (from `as_dicts`), inputs int32 [B, S] and rows float32 [B, E], which
      returns answers uint8 [N, B, S] and halting logits float32 [N, B].
    """
    # no device-specific kernels: the program is for all platforms
    model = get_model(dataclasses.replace(model.config, attention=PLAIN, kernels=PLAIN))

    def record(output: Output) -> tuple[jax.Array, jax.Array]:
        return answers_of(output), output.halt_logits

    def function(weights: Any, inputs: jax.Array, rows: jax.Array) -> tuple[jax.Array, jax.Array]:
        vectors = weights.get("initial", {})  # missing in models without initial vectors
        initial = [vectors[str(i)] for i in range(len(vectors))]
        return take_steps(model, weights["params"], initial, inputs, rows, steps, record)

    return function


def as_dicts(weights: Weights) -> tuple[dict[str, Any], NDArray[np.float32]]:
    """The weights as nested dicts of NumPy arrays, and the puzzle table [R, E] separately."""
    host = jax.device_get(weights)
    initial = {str(i): np.asarray(vector) for i, vector in enumerate(host.initial)}
    params = jax.tree.map(np.asarray, host.params)
    group = {"initial": initial} if initial else {}
    return {"params": params} | group, np.asarray(host.table)


def export_function(
    model: AnyModel, steps: int, weights: dict[str, Any], row_width: int, batch_size: int | str
) -> bytes:
    """The serialised program for CPU, CUDA and TPU.

    Args:
      model: from the registry.
      steps: number of supervision steps.
      weights: from `as_dicts`; only their shapes are used.
      row_width: width of the puzzle table's rows, E.
      batch_size: questions per call, B, or "any".
    """
    batch = export.symbolic_shape("b")[0] if batch_size == ANY else batch_size
    shapes = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, jnp.float32), weights)
    inputs = jax.ShapeDtypeStruct((batch, model.config.cells), jnp.int32)
    rows = jax.ShapeDtypeStruct((batch, row_width), jnp.float32)
    function = jax.jit(make_function(model, steps))
    exported = export.export(function, platforms=PLATFORMS)(shapes, inputs, rows)
    return bytes(exported.serialize())
