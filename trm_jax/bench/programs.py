"""The compiled programs to time, on random puzzles."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from numpy.typing import NDArray

from trm_jax.config.experiment import Experiment
from trm_jax.core.mesh import over_slots, to_global
from trm_jax.core.types import Batch
from trm_jax.infer.rollout import Rollout
from trm_jax.models.flops import step_flops
from trm_jax.tasks.random_puzzles import random_puzzles
from trm_jax.train.run import Run, prepare
from trm_jax.train.state import TrainState


class Program(NamedTuple):
    """A compiled program with its arguments.

    Attributes:
      run: run of the program.
      compiled: the compiled program.
      call: calls it once, and returns its result without waiting.
      compile_seconds: seconds to trace and compile it.
      repeats: updates per call; 1 for a rollout.
      flops: FLOPs of one update or rollout, by formula.
    """

    run: Run
    compiled: jax.stages.Compiled
    call: Callable[[], Any]
    compile_seconds: float
    repeats: int
    flops: int


def ready(experiment: Experiment) -> tuple[Run, TrainState, Batch]:
    """The arguments of a train step: a new state, and random puzzles for each update of a dispatch.

    Returns:
      The run, its train state, and a batch with the leading axis `steps_per_dispatch`.
    """
    dataset = random_puzzles(experiment.data, experiment.batch_size)
    run = prepare(experiment, dataset)
    updates = experiment.steps_per_dispatch
    batch = jax.tree.map(lambda a: np.broadcast_to(a, (updates, *a.shape)), _puzzles(run))
    state = run.init(jax.random.key(experiment.seed))
    return run, state, to_global(batch, over_slots(run.mesh, axis=1))


def train_program(experiment: Experiment) -> Program:
    """One dispatch of `steps_per_dispatch` updates; each call continues with the last state."""
    run, state, batch = ready(experiment)
    compiled, seconds = compile_seconds(run.step, state, batch)

    def call() -> Any:
        nonlocal state
        state, metrics = compiled(state, batch)
        return metrics

    flops = step_flops(run.model.config, experiment.batch_size, True, experiment.chains)
    return Program(run, compiled, call, seconds, experiment.steps_per_dispatch, flops)


def rollout_program(experiment: Experiment) -> Program:
    """The evaluation of one batch at depth N."""
    run = prepare(experiment, random_puzzles(experiment.data, experiment.batch_size))
    config = run.model.config
    weights = run.init(jax.random.key(experiment.seed)).eval_weights()
    batch = to_global(_puzzles(run), over_slots(run.mesh))
    program = Rollout(run.model, run.mesh, config.N, experiment.batch_size).program
    arguments = (weights, batch.inputs, *[batch.ids] * 3)
    compiled, seconds = compile_seconds(program, *arguments)
    flops = config.N * step_flops(config, experiment.batch_size, train=False)
    return Program(run, compiled, lambda: compiled(*arguments), seconds, 1, flops)


def compile_seconds(function: Any, *arguments: Any) -> tuple[jax.stages.Compiled, float]:
    """Compiles a jitted function for its arguments; also returns the seconds that it took."""
    start = time.perf_counter()
    compiled = function.lower(*arguments).compile()
    return compiled, time.perf_counter() - start


def _puzzles(run: Run) -> Any:
    """Random puzzles with random rows of the table; NumPy arrays [B, ...]."""
    dataset, rows = run.dataset, run.shapes.weights.table.shape[0]
    count = run.experiment.batch_size
    ids: NDArray[np.int32] = np.random.default_rng(1).integers(0, rows, count).astype(np.int32)
    arrays: Any = dataset.inputs.astype(np.int32), dataset.labels.astype(np.int32)
    return Batch(inputs=arrays[0], labels=arrays[1], ids=ids)  # type: ignore[arg-type]
