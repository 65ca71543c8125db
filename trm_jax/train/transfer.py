"""Transfers trained weights to another dataset; puzzle-table rows are matched by name."""

import functools

import jax
import numpy as np

from trm_jax.core.errors import UserError
from trm_jax.data.format import Dataset
from trm_jax.models.puzzle_table import padded_rows, remap
from trm_jax.models.weights import Weights, weight_shardings
from trm_jax.tasks.task import task_of
from trm_jax.train.state import TrainState, init_ema
from trm_jax.train.trained import Trained


def rows_for(trained: Trained, dataset: Dataset) -> Weights:
    """The trained weights, with a puzzle table for another dataset.

    Args:
      trained: the trained model, whose rows are reused where names match.
      dataset: dataset whose rows the new table has; rows without a match are zero.

    Returns:
      Weights on the same mesh, with the table padded (`puzzle_table.padded_rows`).
    """
    found = trained.rows.find(dataset.rows)
    count = padded_rows(0, len(found))
    index = np.pad(found, (0, count - len(found)), constant_values=-1).astype(np.int32)
    shapes = trained.weights.replace(
        table=jax.ShapeDtypeStruct((count, trained.weights.table.shape[1]), np.float32)
    )
    where = weight_shardings(trained.mesh, shapes).table
    move = jax.jit(functools.partial(remap, mesh=trained.mesh), out_shardings=where)
    return trained.weights.replace(table=move(trained.weights.table, index))


def start_from(state: TrainState, trained: Trained, dataset: Dataset, ema_scope: str) -> TrainState:
    """Replaces the weights and moving averages of a fresh state by trained weights.

    Args:
      state: state from `init_state`.
      trained: a trained model of the same shape, on the same mesh.
      dataset: dataset that will be trained on.
      ema_scope: see `OptimizerConfig`.

    Raises:
      UserError: the models differ.
    """
    weights = rows_for(trained, dataset)
    have, want = (
        {jax.tree_util.keystr(path): leaf.shape for path, leaf in found}
        for found in map(jax.tree_util.tree_leaves_with_path, (weights, state.weights))
    )
    for name in [*want, *have]:
        if have.get(name) != want.get(name):
            model = trained.experiment.model
            raise UserError(
                f"config.init_from {trained.source} is another model (kind {model.kind!r}, width "
                f"{model.width}, for {task_of(trained.manifest).title(trained.manifest)}): {name} "
                f"is {have.get(name)} there and {want.get(name)} here; set config.model and "
                "config.data to its own."
            )
    # under jit, as arrays of several processes require it
    ema = jax.jit(lambda w: init_ema(w, ema_scope))(weights)
    return state.replace(weights=weights, ema=ema)
