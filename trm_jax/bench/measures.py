"""The parts of `trm bench`: each function here is run in a process of its own."""

import contextlib
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from trm_jax.bench import clock
from trm_jax.bench.profile import profile
from trm_jax.bench.programs import Program, compile_seconds, ready, rollout_program, train_program
from trm_jax.bench.turns import FREE, Turn
from trm_jax.config.experiment import Experiment
from trm_jax.data.format import Dataset
from trm_jax.data.pipeline import PREFETCHED
from trm_jax.tasks.random_puzzles import random_puzzles
from trm_jax.tasks.settings import DataConfig
from trm_jax.tasks.sources import open_training_data
from trm_jax.tasks.task import TASKS
from trm_jax.train.checkpoint import Checkpoints
from trm_jax.train.run import Run, prepare, training_batches

HUB = "hub"


def train(
    experiment: Experiment, repeats: int, trace: str | None, turn: Turn = FREE
) -> dict[str, Any]:
    """Times the train step; see `_program`."""
    with turn.compiling():
        program = train_program(experiment)
    with turn.alone():
        return _program(program, repeats, trace)


def rollout(
    experiment: Experiment, repeats: int, trace: str | None, turn: Turn = FREE
) -> dict[str, Any]:
    """Times the evaluation of one batch at depth N; see `_program`."""
    with turn.compiling():
        program = rollout_program(experiment)
    with turn.alone():
        return _program(program, repeats, trace)


def _program(program: Program, repeats: int, trace: str | None) -> dict[str, Any]:
    """Times a program or, if the folder `trace` is given, traces it.

    Returns:
      `seconds` of one update or rollout (median), `spread` (minimum and maximum),
      `compile_seconds`, `flops`, `params`, `ceiling` in FLOP/s, and the peaks of
      `clock.peak_memory`; with `trace`, only the result of `profile`.
    """
    run = program.run
    if trace:
        clock.times(program.call, 0)  # warms up
        return profile(program.call, trace)
    seconds = [each / program.repeats for each in clock.times(program.call, repeats)]
    peaks = clock.peak_memory(program.compiled)  # before the ceiling's matmul uses memory
    return {
        **device(run),
        "params": sum(a.size for a in jax.tree.leaves(run.shapes.weights.params)),
        **_median(seconds),
        "compile_seconds": program.compile_seconds,
        "flops": program.flops,
        "ceiling": clock.ceiling(run.model.config.dtype, run.mesh.size),
        **peaks,
    }


def inputs(experiment: Experiment, repeats: int, scratch: str | None) -> dict[str, Any]:
    """Times the input pipeline: training batches up to their arrays on the devices.

    Args:
      experiment: experiment with the dataset; random puzzles of the same shape are used if it
        would have to be downloaded, or its file does not exist.
      repeats: number of timed turns, each of as many items as are prefetched.
      scratch: folder for a temporary dataset; None for the system's temporary folder.

    Returns:
      `seconds` of one batch (median), `spread`, `puzzles`, their number, and `data`, their source.
    """
    with tempfile.TemporaryDirectory(dir=scratch, prefix="trm-bench-") as folder:
        dataset, source = _training_data(experiment, Path(folder) / "data")
        run = prepare(experiment, dataset)
        with contextlib.closing(training_batches(run, 0)) as batches:
            # batches that are prefetched when the clock starts would appear to take no time
            turn = PREFETCHED * experiment.steps_per_dispatch
            found = clock.times(lambda: [next(batches) for _ in range(PREFETCHED)], repeats)
    puzzles = len(dataset.splits["train"])
    seconds = _median([each / turn for each in found])
    return {**device(run), **seconds, "puzzles": puzzles, "data": source}


def _training_data(experiment: Experiment, cache: Path) -> tuple[Dataset, str]:
    config: DataConfig = experiment.data
    is_file = config.path not in ("generate", TASKS.get(config.task).source, HUB)
    if config.path == HUB or (is_file and not Path(config.path).exists()):
        return random_puzzles(config, config.base_examples or 1000), "random"
    return open_training_data(config, cache), config.path


def checkpoint(experiment: Experiment, repeats: int, scratch: str | None) -> dict[str, Any]:
    """Times saving the whole train state to disk, and restoring it.

    Args:
      experiment: experiment of the train state.
      repeats: number of timed saves, and of timed restores.
      scratch: folder for temporary files; None for the system's temporary folder.

    Returns:
      `seconds` of a save (median), `spread`, `restore_seconds`, `bytes_written`.
    """
    run, state, _ = ready(experiment)

    def fill(state: Any) -> Any:
        """Fills the state with random numbers, since zeros would be compressed away."""
        leaves, tree = jax.tree.flatten(state)
        key = jax.random.key(0)
        for i, leaf in enumerate(leaves):
            if jnp.issubdtype(leaf.dtype, jnp.floating):
                draw = jax.random.normal(jax.random.fold_in(key, i), leaf.shape, jnp.float32)
                leaves[i] = draw.astype(leaf.dtype)
        return jax.tree.unflatten(tree, leaves)

    state = jax.block_until_ready(jax.jit(fill, out_shardings=run.shardings)(state))
    saves, restores = [], []
    with tempfile.TemporaryDirectory(dir=scratch, prefix="trm-bench-") as folder:
        root = Path(folder).resolve()
        for number in range(1, repeats + 1):
            start = time.perf_counter()
            with Checkpoints(root) as checkpoints:
                checkpoints.save(number, state, {}, None, run.dataset.rows)
            saves.append(time.perf_counter() - start)
        last = root / str(repeats)
        written = sum(path.stat().st_size for path in last.rglob("*") if path.is_file())
        with Checkpoints(root, read_only=True) as checkpoints:
            for _ in range(repeats):
                start = time.perf_counter()
                restored = checkpoints.restore(repeats, run.shapes, run.shardings)
                jax.block_until_ready(restored)
                restores.append(time.perf_counter() - start)
    restore = round(statistics.median(restores), 5)
    return {
        **device(run),
        **_median(saves),
        "restore_seconds": restore,
        "bytes_written": written,
    }


def first_update(experiment: Experiment, started: float, imported: float) -> dict[str, Any]:
    """Times the phases of a new process up to its first finished update.

    Args:
      experiment: experiment to train; the puzzles are random.
      started: time at which the process was started, by `time.time`.
      imported: time at which the imports of `trm train` were finished.

    Returns:
      `import_seconds`, `build_seconds` (initialising devices, train state and batch),
      `compile_seconds` and `step_seconds`, and their sum, `seconds`.
    """
    start = time.perf_counter()
    run, state, batch = ready(experiment)
    jax.block_until_ready((state, batch))
    built = time.perf_counter() - start
    compiled, compiling = compile_seconds(run.step, state, batch)
    start = time.perf_counter()
    jax.block_until_ready(compiled(state, batch))
    phases = {
        "import_seconds": imported - started,
        "build_seconds": built,
        "compile_seconds": compiling,
        "step_seconds": time.perf_counter() - start,
    }
    phases = {"seconds": sum(phases.values())} | phases
    return {**device(run), **{key: round(value, 3) for key, value in phases.items()}}


def device(run: Run) -> dict[str, Any]:
    """The devices of a run, and the sizes that its dataset determines."""
    kind = jax.devices()[0].device_kind
    return {
        "device": f"{run.mesh.size} x {kind}",
        "platform": jax.default_backend(),
        "devices": run.mesh.size,
        "vocab": run.model.config.vocab,
        "cells": run.model.config.cells,
    }


def _median(seconds: list[float]) -> dict[str, Any]:
    return {
        "seconds": round(statistics.median(seconds), 5),
        "spread": [round(min(seconds), 5), round(max(seconds), 5)],
    }
