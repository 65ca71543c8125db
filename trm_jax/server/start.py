"""Builds the service of a trained model."""

import dataclasses
from typing import Any

import jax
import numpy as np

import trm_jax
from trm_jax.core.errors import UserError
from trm_jax.data.format import MANIFEST
from trm_jax.infer.chain_search import ChainSearch, Limits
from trm_jax.infer.continuous import Continuous
from trm_jax.infer.continuous_chains import ContinuousChains
from trm_jax.infer.continuous_halting import ContinuousHalting
from trm_jax.infer.halting import Halt
from trm_jax.models.lattice.lattice_model import LatticeModel
from trm_jax.server.app import Service
from trm_jax.server.bounds import Bounds
from trm_jax.server.engine import Engine
from trm_jax.server.meters import Meters
from trm_jax.server.puzzle_facts import puzzle_facts
from trm_jax.tasks import sources
from trm_jax.tasks.sources import training_data_path
from trm_jax.tasks.task import Tokens, task_of
from trm_jax.train.trained import Trained

SAMPLES = 200
"""Max number of puzzles for `/api/random`."""


@dataclasses.dataclass(frozen=True)
class Method:
    """How puzzles are solved.

    Attributes:
      batch_size: number of slots of the program.
      steps_per_call: maximum number of supervision steps, or rounds, of a call.
      halt: halting rule of a recursive model.
      limits: limits of a lattice model's search; its `seconds` are not used.
    """

    batch_size: int
    steps_per_call: int
    halt: Halt
    limits: Limits


def make_service(trained: Trained, name: str, method: Method, bounds: Bounds) -> Service:
    """Compiles a model's program and describes it.

    Args:
      trained: the model.
      name: name of the model.
      method: how it solves puzzles.
      bounds: limits of the server.

    Raises:
      UserError: the task's puzzles have demonstrations.
    """
    shape = trained.manifest
    task = task_of(shape)
    if task.grouped or task.symbols(shape) is None:
        raise UserError(
            f"{name} solves puzzles with demonstrations ({task.name}), whose rows have to be "
            "fitted for each puzzle; `trm serve` cannot do that: use `trm solve --workdir`."
        )
    program = make_program(trained, method)
    samples = sample_questions(trained)
    engine = Engine(program, bounds, Meters(program.rows))
    facts = _facts(trained, name, method, bounds, program, samples)
    return Service(engine, shape, facts, samples)


def make_program(trained: Trained, method: Method) -> Continuous:
    """The compiled program of a model."""
    model = trained.model
    if isinstance(model, LatticeModel):
        deduction = task_of(trained.manifest).deduction(trained.manifest)
        size = method.batch_size
        search = ChainSearch(model, deduction, trained.mesh, size, method.limits)
        return ContinuousChains(search, trained.weights.params, method.steps_per_call)
    return ContinuousHalting(
        model,
        trained.weights,
        trained.mesh,
        method.batch_size,
        method.halt,
        method.steps_per_call,
    )


def sample_questions(trained: Trained) -> Tokens | None:
    """Held-out puzzles of the run's dataset if it exists, or generated ones; None if neither."""
    shape, task = trained.manifest, task_of(trained.manifest)
    path = training_data_path(trained.experiment.data, trained.workdir.data)
    if (path / MANIFEST).exists():
        dataset = sources.load(path)
        if "heldout" in dataset.splits and len(dataset.examples("heldout")):
            return np.asarray(dataset.inputs[dataset.examples("heldout")[:SAMPLES]])
    try:
        return task.random_questions(shape, SAMPLES)
    except UserError:
        return None


def _facts(
    trained: Trained,
    name: str,
    method: Method,
    bounds: Bounds,
    program: Continuous,
    samples: Tokens | None,
) -> dict[str, Any]:
    """The content of `/api/info`."""
    lattice, limits = isinstance(trained.model, LatticeModel), method.limits
    search = {"passes": limits.passes, "chains": limits.chains, "rounds": limits.rounds}
    halting = {"steps": method.halt.max_steps, "threshold": method.halt.threshold}
    return {
        "model": name,
        "checkpoint": trained.step,
        "parameters": sum(a.size for a in jax.tree.leaves(trained.weights.params)),
        "trm_jax": trm_jax.__version__,
        "kind": trained.experiment.model.kind,
        **puzzle_facts(trained.manifest),
        "search" if lattice else "halting": search if lattice else halting,
        "batch_size": program.slots,
        "random": samples is not None,
        "limits": {
            "waiting_puzzles": bounds.queue,
            "seconds": bounds.seconds,
            "puzzles": bounds.puzzles,
            "traced_puzzles": bounds.traces,
            "body_bytes": bounds.body_kib * 1024,
        },
    }
