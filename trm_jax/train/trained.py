"""A trained model out of a work directory, ready to score or to solve."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import jax
from etils import epath
from jax.sharding import Mesh

from trm_jax.config.experiment import Experiment
from trm_jax.core.errors import UserError
from trm_jax.core.mesh import make_mesh
from trm_jax.data.rows import Rows
from trm_jax.models import AnyModel, get_model
from trm_jax.models.puzzle_table import padded_rows
from trm_jax.models.weights import Weights, init_weights, weight_shardings
from trm_jax.train.checkpoint import Checkpoints
from trm_jax.train.state import init_ema
from trm_jax.train.workdir import WorkDir


@dataclasses.dataclass(frozen=True)
class Trained:
    """What a checkpoint gives to somebody who does not want to train.

    Attributes:
      workdir: where it came from; of a released model, a folder for what is made with it.
      experiment: how it was trained.
      manifest: of the data set it was trained on.
      model: from the registry.
      weights: averaged unless asked otherwise, on every device of the mesh, but that the rows of
        a large puzzle table are split over them.
      mesh: where they lie.
      step: updates it was trained for.
      rows: whose the rows of the puzzle table are.
      card: of a released model, what its card says, measurements included; else None.
    """

    workdir: WorkDir
    experiment: Experiment
    manifest: dict[str, Any]
    model: AnyModel
    weights: Weights
    mesh: Mesh
    step: int
    rows: Rows
    card: Mapping[str, Any] | None = None


def load(
    root: epath.PathLike,
    step: int | None = None,
    *,
    averaged: bool = True,
    mesh: Mesh | None = None,
) -> Trained:
    """Loads the weights of a work directory.

    Args:
      root: the work directory.
      step: which checkpoint; None takes the best on held-out puzzles, else the newest.
      averaged: the averaged weights, which are what is scored; else as the last update left them.
      mesh: where they go; None takes all devices.

    Raises:
      UserError: nothing was trained there, or there is no such checkpoint.
    """
    workdir = WorkDir(root)
    experiment, manifest = workdir.read()
    model = get_model(experiment.model_config(manifest))
    mesh = mesh or make_mesh()
    rows = padded_rows(experiment.table.rows, manifest["table_rows"])
    init = functools.partial(init_weights, model=model, table_rows=rows)
    shapes = jax.eval_shape(init, jax.random.key(0))
    ema = jax.eval_shape(lambda w: init_ema(w, experiment.optimizer.ema_scope), shapes)
    ema = ema if averaged else {}
    nothing = UserError(
        f"{workdir.root} has no checkpoint yet; let `trm train` reach its first one "
        f"(config.checkpoint_every is {experiment.checkpoint_every})."
    )
    if not workdir.checkpoints.exists():
        raise nothing
    with Checkpoints(workdir.checkpoints, read_only=True) as checkpoints:
        saved = checkpoints.steps()
        chosen = checkpoints.best_step() if step is None else step
        if chosen is None:
            raise nothing
        if chosen not in saved:
            raise UserError(f"{workdir.root} has no checkpoint {chosen}; it has {saved}.")
        weights = checkpoints.restore_weights(chosen, shapes, ema, weight_shardings(mesh, shapes))
        names = checkpoints.rows(chosen, manifest)
    return Trained(workdir, experiment, manifest, model, weights, mesh, chosen, names)
