"""Puzzles never seen: fits rows of the puzzle table, and if asked the network, on demonstrations.

A row that was never trained is zeros and tells the network nothing of its task (published
analyses: about 0 % of ARC's tests are right with it). Its demonstrations do: this trains on them as
training would, starting from what was trained, with the network left as it is by default.
"""

import dataclasses

import jax

from trm_jax.core.errors import UserError
from trm_jax.core.mesh import over_slots, to_global
from trm_jax.core.types import Batch
from trm_jax.data.format import Dataset
from trm_jax.data.pipeline import BatchSource, batches
from trm_jax.models.weights import Weights
from trm_jax.tasks.views import view
from trm_jax.train.method import recipe_of
from trm_jax.train.state import TrainState
from trm_jax.train.trained import Trained
from trm_jax.train.trainer import make_trainer
from trm_jax.train.transfer import rows_for


def fit(
    trained: Trained, dataset: Dataset, *, updates: int, copies: int, network: bool, seed: int
) -> Weights:
    """Trains the rows of a data set's puzzles on its split "train".

    Args:
      trained: where to start; rows with names that it knows start from what they are there.
      dataset: as from `Task.groups_of`.
      updates: of the optimizer, with the rates of training and no warm-up.
      copies: augmented copies of each puzzle at most, besides the original.
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
    recipe, mesh, c = recipe_of(trained.experiment), trained.mesh, trained.model.config
    schedule = dataclasses.replace(recipe.schedule, warmup=0, lr_min_ratio=1.0)
    size = min(recipe.batch_size, len(dataset.splits["train"]))
    recipe = dataclasses.replace(
        recipe,
        # so many that each device has as many in each of its parts
        batch_size=size + -size % (mesh.size * recipe.accumulate),
        steps=updates,
        log_every=updates,
        optimizer=schedule if network else None,
        schedule=schedule,
        average=False,
    )
    trainer = make_trainer(recipe, trained.model, mesh, weights.table.shape[0], trained.manifest)
    # copies: the state is donated, and the trained weights live on
    state: TrainState = trainer.init(jax.random.key(seed))
    state = state.replace(weights=jax.tree.map(lambda a: a.copy(), weights))
    step = trainer.step(c.T, c.n)
    shown = view(dataset, copies, seed, train=True)
    source = BatchSource(dataset, shown, "train", batch_size=recipe.batch_size, seed=seed)
    stream = batches(source)
    try:
        for _ in range(updates):
            batch = to_global(Batch(**next(stream)), over_slots(mesh, axis=1))
            state, _ = step(state, batch)
    finally:
        stream.close()
    return state.weights
