"""Loads a trained model from a work directory, for evaluation or solving."""

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
    """A trained model.

    Attributes:
      workdir: its work directory; for a released model, a directory for files made with it.
      experiment: the experiment that trained it.
      manifest: manifest of its dataset.
      model: the model.
      weights: its weights, averaged unless requested otherwise, replicated over the mesh except
        for the rows of a large puzzle table.
      mesh: device mesh of the weights.
      step: number of updates of its training.
      rows: names of the puzzle table's rows.
      card: content of a released model's card, with its measurements; None for other models.
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

    @property
    def source(self) -> str:
        """Name of a released model, else path of the work directory."""
        return str(self.card["name"] if self.card else self.workdir.root)


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
      step: step of the checkpoint; None for the best on held-out puzzles, or if none was
        evaluated, the newest.
      averaged: whether to load the averaged weights instead of those of the last update.
      mesh: device mesh; None for all devices.

    Raises:
      UserError: the directory has no checkpoint, or not this one.
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
