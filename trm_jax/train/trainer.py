"""Builds the compiled programs of training, for whole runs and for fitting table rows."""

import dataclasses
import functools
from collections.abc import Callable

import jax
import optax
from jax.sharding import Mesh

from trm_jax.core.mesh import check_divides
from trm_jax.models import AnyModel, get_model
from trm_jax.tasks.task import Shape
from trm_jax.train.learners import make_learner
from trm_jax.train.method import Recipe
from trm_jax.train.optim import dense_optimizer
from trm_jax.train.state import TrainState, init_state, state_shardings
from trm_jax.train.step import TrainStep, make_train_step


@dataclasses.dataclass(frozen=True)
class Trainer:
    """The programs of a recipe; they are compiled when they are first called.

    Attributes:
      recipe: how to train.
      model: the model, at its own depth.
      mesh: device mesh.
      optimizer: optimizer of the dense parameters.
      shape: shape of the puzzles.
      shapes: shapes of the train state.
      shardings: shardings of the train state.
      init: makes a fresh state from a random key.
      describe: formats the means of a log point in one line.
    """

    recipe: Recipe
    model: AnyModel
    mesh: Mesh
    optimizer: optax.GradientTransformation
    shape: Shape
    shapes: TrainState
    shardings: TrainState
    init: Callable[[jax.Array], TrainState]
    describe: Callable[[dict[str, float]], str]

    def step(self, T: int, n: int) -> TrainStep:
        """The train step at a depth of recursion, see `ModelSettings`."""
        deep = get_model(dataclasses.replace(self.model.config, T=T, n=n))
        learner = make_learner(self.recipe, deep, self.mesh, self.optimizer, self.shape)
        return make_train_step(learner.update, self.mesh, self.shapes, learner.summarise)


def make_trainer(
    recipe: Recipe, model: AnyModel, mesh: Mesh, table_rows: int, shape: Shape
) -> Trainer:
    """Makes the trainer of a recipe.

    Args:
      recipe: how to train.
      model: the model to train.
      mesh: device mesh.
      table_rows: number of rows of the puzzle table, R.
      shape: shape of the puzzles, a manifest.

    Raises:
      UserError: the batch cannot be split over the mesh, or the model does not support the puzzles.
    """
    check_divides(mesh, recipe.batch_size, recipe.accumulate)
    optimizer = optax.set_to_zero()
    if recipe.optimizer:
        optimizer = dense_optimizer(recipe.optimizer, recipe.steps)
    learner = make_learner(recipe, model, mesh, optimizer, shape)
    fresh = functools.partial(
        init_state,
        model=model,
        optimizer=optimizer,
        table_rows=table_rows,
        ema_scope=recipe.schedule.ema_scope,
        metric_names=learner.metrics,
        empty_carry=learner.carry,
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
        shape=shape,
        shapes=shapes,
        shardings=shardings,
        init=jax.jit(init, out_shardings=shardings),
        describe=learner.describe,
    )
