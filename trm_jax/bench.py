"""Timing the compiled programs on random puzzles, in the form of the PyTorch peer's report."""

import dataclasses
import statistics
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from trm_jax.config import Experiment
from trm_jax.data.random_puzzles import random_puzzles
from trm_jax.evaluate import make_scorer
from trm_jax.flops import step_flops
from trm_jax.mesh import over_slots, to_global
from trm_jax.run import prepare
from trm_jax.types import Batch

WARM_UP = 3


def bench(experiment: Experiment, what: str, repeats: int) -> dict[str, Any]:
    """Times the train step, or the evaluation rollout, on this machine's devices.

    Args:
      experiment: its model, batch size, kind of puzzle, table and mesh are used; the puzzles are
        random, and so are their rows of the table.
      what: "train" for one update, "rollout" for an evaluation to depth N.
      repeats: timed calls, after three that are not.

    Returns:
      `seconds` (median of one call), `spread`, `compile_seconds`, `examples_per_s`,
      `tflop_per_step` (by formula), `tflops_per_s`, `params`, `device` and the settings.
    """
    experiment = dataclasses.replace(experiment, steps_per_dispatch=1)
    dataset = random_puzzles(experiment.data, experiment.batch_size)
    run = prepare(experiment, dataset)
    config = run.model.config
    state = run.init(jax.random.key(experiment.seed))
    arrays: dict[str, Any] = {
        "inputs": dataset.inputs.astype(np.int32),
        "labels": dataset.labels.astype(np.int32),
        "ids": _random_rows(run.shapes.weights.table.shape[0], experiment.batch_size),
    }
    call: Callable[[], Any]
    if what == "train":
        batch = to_global(
            Batch(**{k: v[None] for k, v in arrays.items()}), over_slots(run.mesh, axis=1)
        )

        def call() -> Any:
            nonlocal state
            state, metrics = run.step(state, batch)
            return metrics
    else:
        scorer = make_scorer(run.model, run.mesh, config.N)
        rows = to_global(Batch(**arrays), over_slots(run.mesh))

        def call() -> Any:
            return scorer(state.eval_weights(), rows)

    times, first = _time(call, repeats)
    training = what == "train"
    chains = experiment.chains if training else 1
    flops = step_flops(config, experiment.batch_size, training, chains)
    flops *= 1 if training else config.N
    seconds = statistics.median(times)
    return {
        "peer": "trm_jax",
        "what": what,
        "device": f"{run.mesh.size} x {jax.devices()[0].device_kind}",
        "jax": jax.__version__,
        "batch": experiment.batch_size,
        "params": sum(a.size for a in jax.tree.leaves(run.shapes.weights.params)),
        "seconds": round(seconds, 5),
        "spread": [round(min(times), 5), round(max(times), 5)],
        "compile_seconds": round(first - seconds, 2),
        "examples_per_s": round(experiment.batch_size / seconds, 2),
        "tflop_per_step": round(flops / 1e12, 4),
        "tflops_per_s": round(flops / seconds / 1e12, 3),
        "model": dataclasses.asdict(config),
    }


def _time(call: Callable[[], Any], repeats: int) -> tuple[list[float], float]:
    """Seconds of each timed call, and of the very first one, which compiles."""
    times = []
    for _ in range(WARM_UP + repeats):
        start = time.perf_counter()
        jax.block_until_ready(call())
        times.append(time.perf_counter() - start)
    return times[WARM_UP:], times[0]


def _random_rows(rows: int, count: int) -> NDArray[np.int32]:
    return np.random.default_rng(1).integers(0, rows, count).astype(np.int32)
