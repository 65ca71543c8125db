"""The compiled programs of a run, put together from its experiment and its data set."""

import dataclasses
import functools
from collections.abc import Callable, Generator
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from trm_jax.config.experiment import Experiment
from trm_jax.core.mesh import check_divides, make_mesh, over_slots, to_global
from trm_jax.core.types import Batch
from trm_jax.data.format import Dataset
from trm_jax.data.pipeline import BatchSource, batches
from trm_jax.data.questions import ask
from trm_jax.infer.evaluate import evaluate, make_scorer
from trm_jax.models import Model, get_model
from trm_jax.train.curriculum import stages
from trm_jax.train.optim import dense_optimizer
from trm_jax.train.state import TrainState, init_state, state_shardings
from trm_jax.train.step import TrainStep, make_train_step, metric_names, update
from trm_jax.train.trained import table_rows

HELDOUT = "heldout"


@dataclasses.dataclass(frozen=True)
class Run:
    """Everything that stays the same while a run goes on.

    Attributes:
      experiment: what is run.
      dataset: what it is trained on.
      model: at the depth that is evaluated.
      mesh: of devices.
      shapes: of the train state.
      shardings: of the train state.
      init: a fresh state from a key, which is consumed.
      step: updates at the depth of `model`.
      stages: (from which update on, its step); one unless the experiment has a curriculum.
      held_out_score: scores a state on the held-out slice; None where it is not to be.
    """

    experiment: Experiment
    dataset: Dataset
    model: Model
    mesh: Mesh
    shapes: TrainState
    shardings: TrainState
    init: Callable[[jax.Array], TrainState]
    step: TrainStep
    stages: tuple[tuple[int, TrainStep], ...]
    held_out_score: Callable[[TrainState], dict[str, Any]] | None

    def step_at(self, done: int) -> TrainStep:
        """The compiled step of the update after `done` others."""
        return [step for start, step in self.stages if start <= done][-1]


def prepare(experiment: Experiment, dataset: Dataset, mesh: Mesh | None = None) -> Run:
    """Builds the compiled programs of a run; nothing is computed yet.

    Args:
      experiment: what to run.
      dataset: what it is trained on.
      mesh: None makes the one that the experiment asks for.

    Raises:
      UserError: the batch cannot be split over the mesh.
    """
    mesh = mesh or make_mesh(experiment.mesh.data, experiment.mesh.table)
    check_divides(mesh, experiment.batch_size, experiment.accumulate)
    model = get_model(experiment.model_config(dataset.manifest))
    optimizer = dense_optimizer(experiment.optimizer, experiment.steps)
    init = functools.partial(
        init_state,
        model=model,
        optimizer=optimizer,
        table_rows=table_rows(experiment, dataset.manifest),
        batch_size=experiment.batch_size,
        ema_scope=experiment.optimizer.ema_scope,
        metric_names=metric_names(model),
        chains=experiment.chains,
    )
    shapes = jax.eval_shape(init, jax.random.key(0))
    shardings = state_shardings(mesh, shapes)

    @functools.cache
    def step_of(depth: tuple[int, int]) -> TrainStep:
        T, n = depth
        one = functools.partial(
            update,
            model=get_model(dataclasses.replace(model.config, T=T, n=n)),
            optimizer=optimizer,
            optimizer_config=experiment.optimizer,
            table_config=experiment.table,
            total_steps=experiment.steps,
            log_every=experiment.log_every,
            mesh=mesh,
            parts=experiment.accumulate,
            loss_config=experiment.loss,
        )
        return make_train_step(one, mesh, shapes, experiment.loss.halt_weight)

    return Run(
        experiment=experiment,
        dataset=dataset,
        model=model,
        mesh=mesh,
        shapes=shapes,
        shardings=shardings,
        init=jax.jit(init, out_shardings=shardings),
        step=step_of((model.config.T, model.config.n)),
        stages=tuple((start, step_of((T, n))) for start, T, n in stages(experiment)),
        held_out_score=_held_out_score(experiment, dataset, model, mesh),
    )


def training_batches(run: Run, done: int) -> Generator[Batch]:
    """Global batches [k, B, ...] from update `done` on."""
    config = run.experiment
    source = BatchSource(
        run.dataset,
        "train",
        batch_size=config.batch_size,
        seed=config.seed,
        copies=config.data.copies,
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
    experiment: Experiment, dataset: Dataset, model: Model, mesh: Mesh
) -> Callable[[TrainState], dict[str, Any]] | None:
    if not experiment.eval_every or HELDOUT not in dataset.splits:
        return None
    scorer = make_scorer(model, mesh, model.config.N)
    questions = ask(dataset, HELDOUT, experiment.eval_copies)
    rows = np.arange(len(dataset.rows), dtype=np.int32)
    size = experiment.eval_batch_size
    return lambda state: evaluate(
        scorer, state.eval_weights(), questions, rows, batch_size=size, mesh=mesh
    )
