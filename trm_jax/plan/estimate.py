"""The facts of a plan: memory, communication and FLOPs of an experiment's two programs."""

import re
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
from jax.sharding import Mesh

from trm_jax.config.experiment import Experiment
from trm_jax.data.format import MANIFEST, Dataset
from trm_jax.models.flops import step_flops
from trm_jax.plan.chips import CHIPS, GPUS, Chip
from trm_jax.plan.compiled import (
    Collective,
    collectives,
    compile_evaluation,
    compile_step,
    evaluation_batch,
    evaluation_shares,
    memory,
    state_shares,
)
from trm_jax.plan.rates import advice, rates, slowest, source
from trm_jax.plan.traffic import Traffic, read_traffic
from trm_jax.tasks.random_puzzles import random_puzzles
from trm_jax.tasks.sources import load, open_training_data
from trm_jax.tasks.task import TASKS
from trm_jax.train.run import Run, prepare

Facts = dict[str, Any]
TRAIN, EVALUATION = "train", "evaluation"
_NEEDED = re.compile(r"(?:HLO temporaries \(|Used )([0-9.]+)([KMGT]?)")
WITHOUT_TRITON = {"xla_gpu_enable_triton_gemm": False}
"""Compiler options for a program in which XLA finds no tile sizes for a Triton matmul."""
_NO_TILES = "Couldn't find output tile sizes"
SHOWN = 8
"""Number of kinds of kernels to list: those with the most memory traffic."""
_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def stand_in(experiment: Experiment) -> tuple[Experiment, Dataset]:
    """The experiment with the number of its table's rows, and a dataset of the right shapes.

    An existing dataset directory is read. Otherwise the puzzles are random. If puzzles have rows of
    the puzzle table and `table.rows` does not say how many, the dataset is built once to count them
    (this takes seconds).

    Raises:
      UserError: the dataset cannot be read or built.
    """
    data, task = experiment.data, TASKS.get(experiment.data.task)
    if (Path(data.path) / MANIFEST).exists():
        return experiment, load(data.path)
    if task.grouped and not experiment.table.rows and experiment.model.prefix_tokens:
        with tempfile.TemporaryDirectory() as folder:
            built = open_training_data(data, Path(folder) / "data")
        experiment = experiment.change({"table.rows": built.manifest["table_rows"]})
    return experiment, random_puzzles(data, 1)


def plan_program(
    which: str, experiment: Experiment, dataset: Dataset, mesh: Mesh, chip_name: str
) -> Facts:
    """Compiles one program and reports what it needs.

    Args:
      which: TRAIN or EVALUATION.
      experiment: from `stand_in`.
      dataset: from `stand_in`.
      mesh: mesh of a topology's devices.
      chip_name: key of `chips.CHIPS`.

    Returns:
      `batch`; `fits`; `memory`, bytes per device by kind and `peak`; `available`, bytes; `flops`
      of all devices (by formula, for one update or one evaluated batch); `collectives`, count and
      bytes by kind; `bound`, lower bounds of the time in seconds, by cause; `traffic`, memory
      traffic of each device for one update or evaluated batch (`_traffic`); `rates`, seconds at
      measured rates (`rates.rates`), `rates_of`, a description of these rates, and `slowest`, the
      cause of the largest; `options`, compiler options that were needed; `advice`, sentences;
      `compile_seconds`.
      If the compiler reports that the program does not fit, `temporary` is the memory that it
      reports, and the entries that need a compiled program are missing.

    Raises:
      UserError: the batch cannot be split over the mesh.
    """
    run = prepare(experiment, dataset, mesh)
    chip = CHIPS[chip_name]
    if chip.network and len({device.process_index for device in mesh.devices.flat}) > 1:
        chip = chip._replace(interconnect=min(chip.interconnect, chip.network))
    shares, compile_program, batch, flops = _program(which, run)
    start = time.perf_counter()
    compiled, options, needed = _compiled(run, compile_program)
    seconds = time.perf_counter() - start
    sizes, sent, moved = shares | {"temporary": needed}, list[Collective](), None
    if compiled is not None:
        sizes, sent = _sizes(shares, memory(compiled)), collectives(compiled)
        updates = experiment.steps_per_dispatch if which == TRAIN else 1
        moved = _traffic(read_traffic(compiled.as_text() or ""), updates)
    peak = sum(sizes.values())
    facts = {
        "batch": batch,
        "fits": not needed and peak <= chip.memory,
        "memory": sizes | {"peak": peak},
        "available": chip.memory,
        "flops": flops,
        "collectives": _by_kind(sent),
        "bound": bound(chip, flops / mesh.size, sizes, sent),
        "compile_seconds": round(seconds, 1),
    }
    if moved is None:
        return facts
    took = rates(chip, flops / mesh.size, moved["bytes"], sent)
    facts |= {"traffic": moved, "rates": took, "slowest": slowest(took)}
    facts |= {"rates_of": source(chip), "options": options}
    return facts | {"advice": advice(facts) if chip_name in GPUS else []}


def _compiled(
    run: Run, compile_program: Callable[..., jax.stages.Compiled]
) -> tuple[jax.stages.Compiled | None, dict[str, Any], int]:
    """The program, its compiler options and 0; or None, no options and the bytes it would need."""
    try:
        return compile_program(run), {}, 0
    except jax.errors.JaxRuntimeError as error:
        needed = out_of_memory(str(error))
        if needed:
            return None, {}, needed
        if _NO_TILES not in str(error):
            raise
    return compile_program(run, WITHOUT_TRITON), WITHOUT_TRITON, 0


def _traffic(found: Traffic, updates: int) -> Facts:
    """Memory traffic per update, of a program that makes `updates` updates.

    Returns:
      `bytes`; `kernels`, the number of kernels that run; `kinds`, bytes of the kinds with the most
      traffic; `unknown_loops`, number of loops of unknown length, which are counted once.
    """
    most = sorted(found.bytes, key=lambda kind: -found.bytes[kind])[:SHOWN]
    return {
        "bytes": found.total // updates,
        "kernels": sum(found.runs.values()) // updates,
        "kinds": {kind: found.bytes[kind] // updates for kind in most if found.bytes[kind]},
        "unknown_loops": found.unknown_loops,
    }


def _program(which: str, run: Run) -> tuple[dict[str, int], Callable[..., Any], int, int]:
    config = run.model.config
    if which == TRAIN:
        batch = run.experiment.batch_size
        return (
            state_shares(run),
            compile_step,
            batch,
            step_flops(config, batch, train=True, chains=run.experiment.chains),
        )
    batch = evaluation_batch(run)
    flops = config.N * step_flops(config, batch, train=False)
    return evaluation_shares(run), compile_evaluation, batch, flops


def out_of_memory(message: str) -> int:
    """Bytes that a program needs beside its state, by the compiler's out-of-memory error.

    Args:
      message: an error message of the compiler.

    Returns:
      The bytes; 0 if the message is about something else.
    """
    found = _NEEDED.search(message) if "RESOURCE_EXHAUSTED" in message else None
    return int(float(found[1]) * _UNITS[found[2]]) if found else 0


def _sizes(shares: dict[str, int], measured: dict[str, int]) -> dict[str, int]:
    """Memory by kind: the state's parts by their shapes, the rest as the compiler reports it.

    The arguments' size beyond the state's parts is the batch and the padding of layouts.
    """
    read = sum(size for kind, size in shares.items() if not kind.startswith("rest"))
    given = measured["state"] + measured["input"]
    rest = {kind: measured[kind] for kind in ("output", "temporary", "program")}
    return shares | {"batch and padding": given - read} | rest


def _by_kind(sent: list[Collective]) -> dict[str, dict[str, int]]:
    kinds = sorted({exchange.kind for exchange in sent})
    sizes = {kind: [e.bytes for e in sent if e.kind == kind] for kind in kinds}
    return {kind: {"count": len(those), "bytes": sum(those)} for kind, those in sizes.items()}


def bound(
    chip: Chip, flops: float, sizes: dict[str, int], sent: list[Collective]
) -> dict[str, float]:
    """Lower bounds of a program's time from peak figures, in seconds; not a forecast.

    Args:
      chip: the chip, with the vendor's peak figures.
      flops: FLOPs of one device.
      sizes: memory by kind; all that is not temporary is read or written at least once.
      sent: collectives; one in a loop counts once.

    Returns:
      Seconds by cause, and the largest of them as `seconds`.
    """
    touched = sum(
        size
        for kind, size in sizes.items()
        if kind not in ("temporary", "puzzle table", "program") and not kind.startswith("rest")
    )
    seconds = {
        "compute": flops / chip.flops,
        "memory": touched / chip.memory_bandwidth,
        "interconnect": sum(exchange.sent() for exchange in sent) / chip.interconnect,
    }
    return seconds | {"seconds": max(seconds.values())}
