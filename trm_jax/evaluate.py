"""Scoring weights on puzzles, at every depth at once; `trm eval` and the loop both call this."""

import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from trm_jax import calibration
from trm_jax.data.format import Dataset
from trm_jax.data.pipeline import model_labels
from trm_jax.losses import exactness
from trm_jax.mesh import DATA, over_slots, replicated, to_global
from trm_jax.models import Model
from trm_jax.rollout import rollout
from trm_jax.state import Weights
from trm_jax.types import Batch

Scores = tuple[jax.Array, jax.Array, jax.Array]
Scorer = Callable[[Weights, Batch], Scores]


def make_scorer(model: Model, mesh: Mesh, steps: int) -> Scorer:
    """Compiles the scoring of one batch.

    Args:
      model: from the registry.
      mesh: the batch is split over its data axis.
      steps: depth.

    Returns:
      Function of weights and a batch; gives, after each supervision step, the share of right
      cells float32 [N, B], whether the grid is right bool [N, B], and halt logits float32 [N, B].
    """

    def score(weights: Weights, batch: Batch) -> Scores:
        path = rollout(model, weights, batch.inputs, batch.ids, steps)
        answers = path.predictions.astype(batch.labels.dtype)
        cells, exact = jax.vmap(exactness, in_axes=(0, None))(answers, batch.labels)
        return cells, exact, path.halt_logits

    return jax.jit(
        score,
        in_shardings=(replicated(mesh), over_slots(mesh)),
        out_shardings=replicated(mesh),
    )


def evaluate(
    scorer: Scorer, weights: Weights, dataset: Dataset, split: str, batch_size: int, mesh: Mesh
) -> dict[str, Any]:
    """Scores every puzzle of a split. Padding of the last batch is never counted.

    Args:
      scorer: from `make_scorer`.
      weights: averaged, usually.
      dataset: with the split.
      split: its name.
      batch_size: puzzles per call; rounded up to what the mesh can split.
      mesh: as the scorer's.

    Returns:
      `exact_accuracy` and `cell_accuracy` of the deepest answers; `by_depth`, a list of the same
      and the halting calibration (see `calibration.summary`) after each step; `steps_used` per
      puzzle, `examples`, and `seconds` (the first call's compilation included).

    Raises:
      UserError: the split is missing or empty.
    """
    index = dataset.examples(split)
    start = time.perf_counter()
    batch_size = min(batch_size, len(index))
    batch_size += -batch_size % mesh.shape[DATA]
    parts = []
    for first in range(0, len(index), batch_size):
        rows = index[first : first + batch_size]
        scores = scorer(weights, _batch(dataset, rows, batch_size, mesh))
        parts.append([np.asarray(array)[:, : len(rows)] for array in jax.device_get(scores)])
    cells, exact, halt_logits = (np.concatenate(a, axis=1) for a in zip(*parts, strict=True))
    by_depth: list[dict[str, Any]] = [
        {"depth": depth + 1, "exact_accuracy": float(e.mean()), "cell_accuracy": float(c.mean())}
        | calibration.summary(logits, e)
        for depth, (c, e, logits) in enumerate(zip(cells, exact, halt_logits, strict=True))
    ]
    return {
        "exact_accuracy": by_depth[-1]["exact_accuracy"],
        "cell_accuracy": by_depth[-1]["cell_accuracy"],
        "steps_used": len(by_depth),
        "examples": len(index),
        "seconds": time.perf_counter() - start,
        "by_depth": by_depth,
    }


def _batch(dataset: Dataset, rows: np.ndarray, batch_size: int, mesh: Mesh) -> Batch:
    """The examples `rows`, the last one repeated up to `batch_size`, on the mesh."""
    rows = np.pad(rows, (0, batch_size - len(rows)), mode="edge")
    share = batch_size // jax.process_count()
    rows = rows[jax.process_index() * share :][:share]
    local: dict[str, Any] = {
        "inputs": dataset.inputs[rows].astype(np.int32),
        "labels": model_labels(dataset.labels[rows]),
        "ids": dataset.ids[rows].astype(np.int32),
    }
    return to_global(Batch(**local), over_slots(mesh))
