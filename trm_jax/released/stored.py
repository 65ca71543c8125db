"""Reads the weights of released models: .npz files without pickle, verified by SHA-256.

bfloat16 arrays are stored as their uint16 words, since .npz has no bfloat16.
"""

import functools
import hashlib
import io
import zipfile
from pathlib import Path
from typing import Any

import jax
import ml_dtypes
import numpy as np
from etils import epath
from jax.sharding import Mesh
from numpy.typing import NDArray

from trm_jax.config.experiment import Experiment, from_dict
from trm_jax.core.errors import UserError
from trm_jax.core.mesh import make_mesh
from trm_jax.data.rows import BLANK_ROWS
from trm_jax.models import AnyModel, get_model
from trm_jax.models.puzzle_table import padded_rows
from trm_jax.models.weights import Weights, init_weights, weight_shardings
from trm_jax.released.cards import Card, find, is_released
from trm_jax.train.pack import named
from trm_jax.train.trained import Trained, load
from trm_jax.train.workdir import WorkDir

DTYPES = ("bfloat16", "float32")
CACHE = "~/.cache/trm_jax/released"
"""Folder for the datasets (built on demand) and the evaluations of released models."""

Arrays = dict[str, NDArray[Any]]


def load_released(name: str, folder: Path | None = None, *, mesh: Mesh | None = None) -> Trained:
    """Loads a released model, as `train.trained.load` loads a work directory.

    Its `workdir` is a folder in the user's cache, which is made when something is written there.

    Args:
      name: name of the model.
      folder: folder of the models; None for those of the package.
      mesh: mesh to put the weights on; None for one of all devices.

    Raises:
      UserError: the model does not exist, or one of its files is missing or damaged.
    """
    card = find(name, folder)
    arrays = read_arrays(card)
    experiment, model, shapes = _described(card)
    mesh = mesh or make_mesh()
    places = weight_shardings(mesh, shapes)

    def put(name: str, where: jax.sharding.Sharding) -> jax.Array:
        array = arrays[name]
        return jax.make_array_from_callback(array.shape, where, lambda index: array[index])

    names = jax.tree.unflatten(jax.tree.structure(shapes), list(named(shapes)))
    workdir = WorkDir(epath.Path(CACHE) / card.record["sha256"][:12] / card.name)
    return Trained(
        workdir=workdir,
        experiment=experiment,
        manifest=dict(card.shape),
        model=model,
        weights=jax.tree.map(put, names, places),
        mesh=mesh,
        step=card.record["step"],
        rows=BLANK_ROWS,
        card=card.record,
    )


def names_released(source: str) -> bool:
    """Whether a source is a released model's name; a path that exists takes precedence."""
    return is_released(source) and not Path(source).expanduser().exists()


def load_start(source: str, *, mesh: Mesh) -> Trained:
    """Loads the weights that a new run starts from.

    Args:
      source: name of a released model, or path of a work directory.
      mesh: mesh to put the weights on.

    Raises:
      UserError: see `load_released` and `train.trained.load`.
    """
    return (load_released if names_released(source) else load)(source, mesh=mesh)


def read_arrays(card: Card) -> Arrays:
    """Reads the weights of a model.

    Args:
      card: card of the model.

    Returns:
      Arrays by name, float32, with the shapes of the model.

    Raises:
      UserError: the file is missing or is not the card's, does not fit the model, or has values
        that are not finite.
    """
    arrays = _decode(card)
    _, _, shapes = _described(card)
    want = {name: tuple(leaf.shape) for name, leaf in named(shapes).items()}
    have = {name: array.shape for name, array in arrays.items()}
    for name in (*want, *have):
        if want.get(name) != have.get(name):
            raise UserError(
                f"{card.weights} has {name} of shape {have.get(name)}, but the model of "
                f"{card.path} has {want.get(name)}; restore both files."
            )
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise UserError(
                f"{card.weights} has values in {name} that are not finite; restore it, or add the "
                "model again."
            )
    return arrays


def encode(weights: Weights, dtype: str) -> bytes:
    """The content of a file of weights.

    Args:
      weights: weights of the model.
      dtype: dtype that they are rounded to, one of `DTYPES`.
    """
    host = {name: np.asarray(leaf, np.float32) for name, leaf in named(weights).items()}
    if dtype == "bfloat16":
        host = {name: a.astype(ml_dtypes.bfloat16).view(np.uint16) for name, a in host.items()}
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **host)
    return buffer.getvalue()


def _decode(card: Card) -> Arrays:
    """Arrays, float32, of the card's file of weights, whose SHA-256 is verified."""
    try:
        content = card.weights.read_bytes()
    except OSError as error:
        raise UserError(
            f"{card.weights}, the weights of {card.path.name}, cannot be read ({error.strerror}); "
            "restore it, or remove the card."
        ) from error
    if hashlib.sha256(content).hexdigest() != card.record["sha256"]:
        raise UserError(
            f"{card.weights} is not the file of {card.path.name}: its SHA-256 differs "
            f"({len(content):,} bytes instead of {card.record['bytes']:,}); restore it."
        )
    stored = np.uint16 if card.record["dtype"] == "bfloat16" else np.float32
    arrays: Arrays = {}
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            for name in archive.files:
                array = archive[name]
                if array.dtype != stored:
                    raise ValueError(f"{name} is {array.dtype}, not {np.dtype(stored)}")
                words = array.dtype == np.uint16
                arrays[name] = array.view(ml_dtypes.bfloat16).astype(np.float32) if words else array
    except (ValueError, OSError, EOFError, KeyError, AttributeError, zipfile.BadZipFile) as error:
        raise UserError(
            f"{card.weights} is not a file of weights in {card.record['dtype']} ({error}); add the "
            "model again."
        ) from error
    return arrays


def _described(card: Card) -> tuple[Experiment, AnyModel, Weights]:
    """The experiment of a card, its model, and the shapes of the weights.

    Raises:
      UserError: this version cannot read the experiment.
    """
    try:
        experiment = from_dict(card.record["config"])
        model = get_model(experiment.model_config(card.shape))
    except UserError as error:
        raise UserError(
            f"{card.path}, written by trm_jax {card.record['trm_jax']}: {error}"
        ) from error
    rows = padded_rows(experiment.table.rows, card.shape["table_rows"])
    init = functools.partial(init_weights, model=model, table_rows=rows)
    return experiment, model, jax.eval_shape(init, jax.random.key(0))
