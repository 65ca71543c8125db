"""How each kind of model is trained: its carry, its update and its metrics."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import optax
from jax.sharding import Mesh

from trm_jax.core.types import Batch, Latents
from trm_jax.models import AnyModel, act
from trm_jax.tasks.task import Shape, task_of
from trm_jax.train import pool, step
from trm_jax.train.method import Recipe
from trm_jax.train.state import TrainState


class Learner(NamedTuple):
    """A way to train, bound to a model.

    Attributes:
      metrics: keys of the metric sums.
      carry: makes the empty carry from the fixed initial vectors.
      update: one optimizer update.
      summarise: computes means from metric sums, among them `loss` and `gradient_norm`.
      describe: formats the means of a log point in one line.
    """

    metrics: tuple[str, ...]
    carry: Callable[[Latents], Any]
    update: Callable[[TrainState, Batch], TrainState]
    summarise: Callable[[dict[str, jax.Array]], dict[str, jax.Array]]
    describe: Callable[[dict[str, float]], str]


def supervision(
    recipe: Recipe,
    model: Any,
    mesh: Mesh,
    optimizer: optax.GradientTransformation,
    shape: Shape,
) -> Learner:
    """Deep supervision with adaptive halting, for TRM and its variants."""
    del shape
    update = functools.partial(
        step.update,
        model=model,
        optimizer=optimizer,
        optimizer_config=recipe.schedule,
        table_config=recipe.table,
        total_steps=recipe.steps,
        log_every=recipe.log_every,
        mesh=mesh,
        parts=recipe.accumulate,
        loss_config=recipe.loss,
    )
    return Learner(
        metrics=step.metric_names(model),
        carry=lambda initial: act.empty_carry(
            model.config, initial, recipe.batch_size, recipe.chains
        ),
        update=update,
        summarise=functools.partial(
            step.summarise, batch_size=recipe.batch_size, halt_weight=recipe.loss.halt_weight
        ),
        describe=step.describe,
    )


def own_states(
    recipe: Recipe,
    model: Any,
    mesh: Mesh,
    optimizer: optax.GradientTransformation,
    shape: Shape,
) -> Learner:
    """Training on a pool of the model's own states, for lattice deduction."""
    update = functools.partial(
        pool.update,
        model=model,
        optimizer=optimizer,
        optimizer_config=recipe.schedule,
        total_steps=recipe.steps,
        log_every=recipe.log_every,
        mesh=mesh,
        parts=recipe.accumulate,
        deduction=task_of(shape).deduction(shape),
    )
    return Learner(
        metrics=pool.METRICS,
        carry=lambda _: pool.empty_pool(model, recipe.batch_size),
        update=update,
        summarise=functools.partial(pool.summarise, settings=model.config.lattice),
        describe=pool.describe,
    )


LEARNERS: dict[str, Callable[..., Learner]] = {"supervision": supervision, "pool": own_states}


def make_learner(
    recipe: Recipe,
    model: AnyModel,
    mesh: Mesh,
    optimizer: optax.GradientTransformation,
    shape: Shape,
) -> Learner:
    """Makes the learner of a model for a recipe.

    Args:
      recipe: how to train.
      model: the model.
      mesh: device mesh.
      optimizer: optimizer of the dense parameters.
      shape: shape of the puzzles.

    Raises:
      UserError: the model cannot be trained on such puzzles.
    """
    return LEARNERS[model.learner](recipe, model, mesh, optimizer, shape)
