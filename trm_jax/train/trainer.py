"""The one builder of compiled training: of a whole run, and of fitting a few rows of a table."""

import dataclasses
import functools
from collections.abc import Callable

import jax
import optax
from jax.sharding import Mesh

from trm_jax.config.experiment import Experiment, OptimizerConfig, TableConfig
from trm_jax.core.mesh import check_divides
from trm_jax.models import Model, get_model
from trm_jax.models.settings import LossConfig
from trm_jax.train.optim import dense_optimizer
from trm_jax.train.state import TrainState, init_state, state_shardings
from trm_jax.train.step import TrainStep, make_train_step, metric_names, update


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How weights are trained: all of an experiment that the compiled programs depend on.

    Attributes:
      batch_size: B, over all devices.
      accumulate: parts in which each device takes its slots.
      chains: K, see `train.chains`.
      steps: updates of the whole run, over which the learning rate falls.
      log_every: updates over which metrics are added up.
      optimizer: of the dense parameters; None leaves them as they are.
      schedule: whose warm-up and decay the rates follow.
      table: the puzzle table's.
      loss: what is minimised.
      average: whether moving averages are kept.
    """

    batch_size: int
    accumulate: int
    chains: int
    steps: int
    log_every: int
    optimizer: OptimizerConfig | None
    schedule: OptimizerConfig
    table: TableConfig
    loss: LossConfig
    average: bool = True


def recipe_of(experiment: Experiment) -> Recipe:
    """How an experiment trains."""
    return Recipe(
        batch_size=experiment.batch_size,
        accumulate=experiment.accumulate,
        chains=experiment.chains,
        steps=experiment.steps,
        log_every=experiment.log_every,
        optimizer=experiment.optimizer,
        schedule=experiment.optimizer,
        table=experiment.table,
        loss=experiment.loss,
    )


@dataclasses.dataclass(frozen=True)
class Trainer:
    """The compiled programs of a recipe; nothing is computed before they are called.

    Attributes:
      recipe: how it trains.
      model: at its own depth.
      mesh: of devices.
      optimizer: of the dense parameters.
      shapes: of the train state.
      shardings: of the train state.
      init: a fresh state from a key, which is consumed.
    """

    recipe: Recipe
    model: Model
    mesh: Mesh
    optimizer: optax.GradientTransformation
    shapes: TrainState
    shardings: TrainState
    init: Callable[[jax.Array], TrainState]

    def step(self, T: int, n: int) -> TrainStep:
        """The compiled step at a depth of recursion, see `ModelSettings`."""
        deep = dataclasses.replace(self.model.config, T=T, n=n)
        one = functools.partial(
            update,
            model=get_model(deep),
            optimizer=self.optimizer,
            optimizer_config=self.recipe.schedule,
            table_config=self.recipe.table,
            total_steps=self.recipe.steps,
            log_every=self.recipe.log_every,
            mesh=self.mesh,
            parts=self.recipe.accumulate,
            loss_config=self.recipe.loss,
        )
        return make_train_step(one, self.mesh, self.shapes, self.recipe.loss.halt_weight)


def make_trainer(recipe: Recipe, model: Model, mesh: Mesh, table_rows: int) -> Trainer:
    """Puts the programs of a recipe together.

    Args:
      recipe: how to train.
      model: what to train.
      mesh: to train on.
      table_rows: R.

    Raises:
      UserError: the batch cannot be split over the mesh.
    """
    check_divides(mesh, recipe.batch_size, recipe.accumulate)
    optimizer = optax.set_to_zero()
    if recipe.optimizer:
        optimizer = dense_optimizer(recipe.optimizer, recipe.steps)
    fresh = functools.partial(
        init_state,
        model=model,
        optimizer=optimizer,
        table_rows=table_rows,
        batch_size=recipe.batch_size,
        ema_scope=recipe.schedule.ema_scope,
        metric_names=metric_names(model),
        chains=recipe.chains,
    )

    def init(key: jax.Array) -> TrainState:
        state = fresh(key)
        return state if recipe.average else state.replace(ema={})

    shapes = jax.eval_shape(init, jax.random.key(0))
    shardings = state_shardings(mesh, shapes)
    return Trainer(
        recipe=recipe,
        model=model,
        mesh=mesh,
        optimizer=optimizer,
        shapes=shapes,
        shardings=shardings,
        init=jax.jit(init, out_shardings=shardings),
    )
