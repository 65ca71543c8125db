"""Compares the compiled rollout of converted weights with the published algorithm.

The reference is `transcription`, which computes with the file's own arrays.
"""

import dataclasses
import time
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from trm_jax.core.types import Latents, Output
from trm_jax.infer.rollout import Rollout
from trm_jax.models import get_model, puzzle_table
from trm_jax.models.settings import ModelConfig
from trm_jax.published.transcription import Transcription
from trm_jax.tasks.task import task_of
from trm_jax.train.trained import Trained

TOLERANCE = 1e-3
"""Allowed difference relative to the logits' scale, in addition to rounding errors."""
ROUNDINGS = 10


def compare(trained: Trained, arrays: Mapping[str, NDArray[Any]], puzzles: int) -> dict[str, Any]:
    """Runs the rollout and the reference on the same puzzles, and compares their outputs.

    After the first step, the rollout's float32 logits are compared with the reference in float64.
    The size of rounding errors depends on the model; the reference in float32 measures it. Later
    steps are chaotic for unsolved puzzles, so only the predicted answers are compared there.

    Args:
      trained: the converted weights, as evaluation loads them.
      arrays: arrays of the file, by their names below `model.inner.`.
      puzzles: number of random puzzles of the task.

    Returns:
      The report; its "agrees" is whether the logits of the first step agree.
    """
    start = time.perf_counter()
    config = dataclasses.replace(trained.model.config, dtype="float32")
    shape = trained.manifest
    inputs = task_of(shape).random_questions(shape, puzzles).astype(np.int32)
    rows = len(arrays["puzzle_emb.weights"]) if config.prefix_tokens else 1
    ids = np.arange(puzzles, dtype=np.int32) % rows
    first, answers = _ours(trained, config, inputs, ids)
    halting = np.stack([first.halt_logits, first.continue_logits], axis=-1)
    exact = [array[0] for array in _reference(arrays, config, "float64").rollout(inputs, ids, 1)]
    path, halting_path = _reference(arrays, config, "float32").rollout(inputs, ids, config.N)
    step = {
        "logits": _difference(np.asarray(first.logits), exact[0], path[0]),
        "halting_logits": _difference(halting, exact[1], halting_path[0]),
    }
    same = answers == path.argmax(-1)
    differs = np.flatnonzero(~same.all((1, 2)))
    return {
        "puzzles": puzzles,
        "step_1": step,
        "all_same_up_to_step": int(differs[0]) if len(differs) else config.N,
        "last_step": config.N,
        "same_cells": float(same[-1].mean()),
        "same_grids": float(same[-1].all(-1).mean()),
        "agrees": all(
            d["difference"] <= TOLERANCE * d["scale"] + ROUNDINGS * d["rounding"]
            for d in step.values()
        ),
        "seconds": time.perf_counter() - start,
    }


def describe(report: Mapping[str, Any]) -> str:
    """The report as text of a few lines."""
    verdict = "they agree" if report["agrees"] else "THEY DO NOT AGREE"
    lines = [
        f"compiled rollout (float32) against the published algorithm in NumPy, {report['puzzles']} "
        f"puzzles: {verdict}"
    ]
    for name, d in report["step_1"].items():
        lines.append(
            f"  step 1: {name.replace('_', ' ')} differ by at most {d['difference']:.1e}, "
            f"{d['relative']:.1e} of their scale ({d['scale']:.3g}); rounding: {d['rounding']:.1e}"
        )
    lines.append(
        f"  step {report['last_step']}: {report['same_cells']:.2%} of cells and "
        f"{report['same_grids']:.1%} of grids are the same; up to step "
        f"{report['all_same_up_to_step']} all of them are"
    )
    return "\n".join(lines)


def _difference(ours: NDArray[Any], exact: NDArray[Any], rounded: NDArray[Any]) -> dict[str, float]:
    difference = float(np.abs(ours - exact).max())
    # the logits of an untrained halting head are tiny apart from their bias
    scale = max(float(np.abs(exact).max()), 1.0)
    return {
        "difference": difference,
        "scale": scale,
        "relative": difference / scale,
        "rounding": float(np.abs(rounded - exact).max()),
    }


def _reference(
    arrays: Mapping[str, NDArray[Any]], config: ModelConfig, dtype: str
) -> Transcription:
    return Transcription(
        arrays,
        heads=config.heads,
        T=config.T,
        n=config.n,
        prefix_tokens=config.prefix_tokens,
        rotary=config.positions == "rotary",
        dtype=dtype,
    )


def _ours(
    trained: Trained, config: ModelConfig, inputs: NDArray[np.int32], ids: NDArray[np.int32]
) -> tuple[Output, NDArray[Any]]:
    """The model's output after the first step, and its answers [N, B, S] after all steps."""
    model, weights = get_model(config), trained.weights
    shape = (len(inputs), config.tokens, config.width)

    def first(weights: Any, inputs: jax.Array, ids: jax.Array) -> Output:
        rows = puzzle_table.lookup(weights.table, ids, trained.mesh)
        latents: Latents = tuple(
            jax.numpy.broadcast_to(vector[None, None], shape) for vector in weights.initial
        )
        return model.supervision_step(weights.params, latents, inputs, rows)[1]

    rollout = Rollout(model, trained.mesh, config.N, len(inputs))
    path = rollout(weights, inputs.astype(np.uint8), ids)
    return jax.device_get(jax.jit(first)(weights, inputs, ids)), path.predictions
