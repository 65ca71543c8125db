"""Fits puzzle-table rows of unseen puzzles, and optionally the network, on demonstrations.

An untrained row is zero and contains no information about the puzzle (published analyses: about
0 % of ARC's tests are solved with it). Here the rows are trained on the puzzle's demonstrations in
the same way as in training, starting from trained weights; by default the network is frozen.
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
    """Trains the rows of a dataset's puzzles on its split "train".

    Args:
      trained: the trained model; rows with known names start from their trained values.
      dataset: dataset from `Task.groups_of`.
      updates: number of updates, at the training's learning rates without warm-up.
      copies: max number of augmented copies of each puzzle, besides the original.
      network: whether to train the network too.
      seed: seed of the data stream and of the halting exploration.

    Returns:
      The weights, with a puzzle table for the rows of `dataset`.

    Raises:
      UserError: `updates` is negative.
    """
    if updates < 0:
        raise UserError(f"the number of updates to fit for is {updates}; give 0 or more.")
    weights = rows_for(trained, dataset)
    if not updates:
        return weights
    recipe, mesh, c = recipe_of(trained.experiment), trained.mesh, trained.model.config
    schedule = dataclasses.replace(recipe.schedule, warmup=0, lr_min_ratio=1.0)
    size = min(recipe.batch_size, len(dataset.splits["train"]))
    recipe = dataclasses.replace(
        recipe,
        # rounded up so that each device has equally many slots in each microbatch
        batch_size=size + -size % (mesh.size * recipe.accumulate),
        steps=updates,
        log_every=updates,
        optimizer=schedule if network else None,
        schedule=schedule,
        average=False,
    )
    trainer = make_trainer(recipe, trained.model, mesh, weights.table.shape[0], trained.manifest)
    # copies: the state is donated, but the trained weights are used again
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
