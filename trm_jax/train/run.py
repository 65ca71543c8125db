"""A run: the compiled programs, the data and the held-out score of one experiment."""

import dataclasses
import functools
from collections.abc import Callable, Generator
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from trm_jax.config.experiment import Experiment
from trm_jax.core.mesh import make_mesh, over_slots, to_global
from trm_jax.core.types import Batch
from trm_jax.data.format import Dataset
from trm_jax.data.pipeline import BatchSource, batches
from trm_jax.infer.evaluate import evaluate
from trm_jax.infer.rollout import Rollout
from trm_jax.models import AnyModel, get_model
from trm_jax.models.puzzle_table import padded_rows
from trm_jax.tasks.views import ask, view
from trm_jax.train.bulk import refuse_bulk
from trm_jax.train.curriculum import stages
from trm_jax.train.method import recipe_of
from trm_jax.train.state import TrainState
from trm_jax.train.step import TrainStep
from trm_jax.train.trainer import Trainer, make_trainer

HELDOUT = "heldout"


@dataclasses.dataclass(frozen=True)
class Run:
    """The constant parts of a run.

    Attributes:
      experiment: the experiment.
      dataset: its dataset.
      trainer: its compiled programs.
      step: train step at the depth of the model.
      stages: (first update, train step) of each stage; a single one without a curriculum.
      held_out_score: scores a state on the held-out split; None for no evaluation.
    """

    experiment: Experiment
    dataset: Dataset
    trainer: Trainer
    step: TrainStep
    stages: tuple[tuple[int, TrainStep], ...]
    held_out_score: Callable[[TrainState], dict[str, Any]] | None

    @property
    def model(self) -> AnyModel:
        """The model, at the depth of evaluation."""
        return self.trainer.model

    @property
    def mesh(self) -> Mesh:
        """The device mesh."""
        return self.trainer.mesh

    @property
    def shapes(self) -> TrainState:
        """Shapes of the train state."""
        return self.trainer.shapes

    @property
    def shardings(self) -> TrainState:
        """Shardings of the train state."""
        return self.trainer.shardings

    @property
    def init(self) -> Callable[[jax.Array], TrainState]:
        """Function that makes a fresh state from a random key."""
        return self.trainer.init

    def step_at(self, done: int) -> TrainStep:
        """The compiled train step of update number `done`, counted from 0."""
        return [step for start, step in self.stages if start <= done][-1]


def prepare(experiment: Experiment, dataset: Dataset, mesh: Mesh | None = None) -> Run:
    """Builds the programs of a run; they are compiled when they are first called.

    Args:
      experiment: the experiment.
      dataset: its dataset.
      mesh: device mesh; None for the experiment's own.

    Raises:
      UserError: the batch cannot be split over the mesh, the table is too small, or the state is
        too large for the devices.
    """
    mesh = mesh or make_mesh(experiment.mesh.data, experiment.mesh.table)
    model = get_model(experiment.model_config(dataset.manifest))
    rows = padded_rows(experiment.table.rows, dataset.manifest["table_rows"])
    trainer = make_trainer(recipe_of(experiment), model, mesh, rows, dataset.manifest)
    scored = HELDOUT in dataset.splits and experiment.eval_every
    held_out = len(ask(dataset, HELDOUT, experiment.eval_copies)) if scored else 0
    refuse_bulk(trainer, min(experiment.eval_batch_size, held_out))
    # one program for each depth, even if several stages share it
    step_of = functools.cache(trainer.step)
    return Run(
        experiment=experiment,
        dataset=dataset,
        trainer=trainer,
        step=step_of(model.config.T, model.config.n),
        stages=tuple((start, step_of(T, n)) for start, T, n in stages(experiment)),
        held_out_score=_held_out_score(experiment, dataset, model, mesh),
    )


def training_batches(run: Run, done: int) -> Generator[Batch]:
    """Yields global batches [k, B, ...], starting at update `done`."""
    config = run.experiment
    source = BatchSource(
        run.dataset,
        view(run.dataset, config.data.copies, config.seed, train=True),
        "train",
        batch_size=config.batch_size,
        seed=config.seed,
        per_item=config.steps_per_dispatch,
        shard=jax.process_index(),
        shards=jax.process_count(),
    )
    local = batches(source, start=done // config.steps_per_dispatch)
    sharding = over_slots(run.mesh, axis=1)
    try:
        for arrays in local:
            yield to_global(Batch(**arrays), sharding)
    finally:
        local.close()


def _held_out_score(
    experiment: Experiment, dataset: Dataset, model: AnyModel, mesh: Mesh
) -> Callable[[TrainState], dict[str, Any]] | None:
    if not experiment.eval_every or HELDOUT not in dataset.splits:
        return None
    questions = ask(dataset, HELDOUT, experiment.eval_copies)
    size = min(experiment.eval_batch_size, len(questions))
    rollout = Rollout(model, mesh, model.config.N, size)
    rows = np.arange(len(dataset.rows), dtype=np.int32)
    return lambda state: evaluate(rollout, state.eval_weights(), questions, rows)
