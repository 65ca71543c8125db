"""Puzzles never seen: fits rows of the puzzle table, and if asked the network, on demonstrations.

A row that was never trained is zeros and tells the network nothing of its task (published
analyses: about 0 % of ARC's tests are right with it). Its demonstrations do: this trains on them as
training would, starting from what was trained, with the network left as it is by default.
"""

import dataclasses
import functools

import jax
import optax

from trm_jax.core.errors import UserError
from trm_jax.core.mesh import over_slots, to_global, whole_slots
from trm_jax.core.types import Batch
from trm_jax.data.format import Dataset
from trm_jax.data.pipeline import BatchSource, batches
from trm_jax.train.optim import dense_optimizer
from trm_jax.train.state import TrainState, Weights, init_state, state_shardings
from trm_jax.train.step import make_train_step, metric_names, update
from trm_jax.train.trained import Trained
from trm_jax.train.transfer import rows_for


def fit(
    trained: Trained, dataset: Dataset, *, updates: int, copies: int, network: bool, seed: int
) -> Weights:
    """Trains the rows of a data set's tasks on its split "train".

    Args:
      trained: where to start; rows with names that it knows start from what they are there.
      dataset: as from `arc_build.build_tasks`.
      updates: of the optimizer, with the rates of training and no warm-up.
      copies: augmented copies of each task at most, besides the original.
      network: whether the network is trained too, else it stays as it is.
      seed: of the data stream and of the halting exploration.

    Returns:
      The weights, with a table for the rows of `dataset`.

    Raises:
      UserError: `updates` is negative.
    """
    if updates < 0:
        raise UserError(f"the updates to fit for are {updates}; give 0 or more.")
    weights = rows_for(trained, dataset)
    if not updates:
        return weights
    experiment, model, mesh = trained.experiment, trained.model, trained.mesh
    config = dataclasses.replace(experiment.optimizer, warmup=0, lr_min_ratio=1.0)
    optimizer = dense_optimizer(config, updates) if network else optax.set_to_zero()
    size = min(experiment.batch_size, len(dataset.splits["train"]))
    size = whole_slots(size, mesh)
    init = functools.partial(
        init_state,
        model=model,
        optimizer=optimizer,
        table_rows=weights.table.shape[0],
        batch_size=size,
        ema_scope=config.ema_scope,
        metric_names=metric_names(model),
    )
    shapes = jax.eval_shape(init, jax.random.key(0)).replace(ema={})
    shardings = state_shardings(mesh, shapes)
    start = jax.jit(lambda key: init(key).replace(ema={}), out_shardings=shardings)
    # copies: the state is donated, and the trained weights live on
    state: TrainState = start(jax.random.key(seed))
    state = state.replace(weights=jax.tree.map(lambda a: a.copy(), weights))
    one = functools.partial(
        update,
        model=model,
        optimizer=optimizer,
        optimizer_config=config,
        table_config=experiment.table,
        total_steps=updates,
        log_every=updates,
        mesh=mesh,
        loss_config=experiment.loss,
    )
    step = make_train_step(one, mesh, shapes)
    stream = batches(BatchSource(dataset, "train", batch_size=size, seed=seed, copies=copies))
    try:
        for _ in range(updates):
            batch = to_global(Batch(**next(stream)), over_slots(mesh, axis=1))
            state, _ = step(state, batch)
    finally:
        stream.close()
    return state.weights
