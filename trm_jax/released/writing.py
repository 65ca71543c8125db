"""Writes the weights and the card of a released model from a work directory."""

import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

import jax
import numpy as np
from etils import epath

import trm_jax
from trm_jax.config.experiment import Experiment
from trm_jax.core.errors import UserError
from trm_jax.core.files import write_whole
from trm_jax.released.cards import FOLDER, FORMAT, KIND, MEASURED, NAME, Card
from trm_jax.released.measured import measured
from trm_jax.released.stored import DTYPES, encode, read_arrays
from trm_jax.tasks.task import task_of
from trm_jax.train.pack import named
from trm_jax.train.trained import Trained, load


@dataclasses.dataclass(frozen=True)
class Release:
    """Properties of a released model that are not in its work directory.

    Attributes:
      name: name of the model: lower-case letters, digits and hyphens.
      commands: commands that trained it.
      hardware: hardware on which it was evaluated.
      rank: of several models for the same puzzles, the one with the lowest rank is chosen.
      dtype: dtype of the stored weights.
      more: measurements to put before those of the work directory.
    """

    name: str
    commands: tuple[str, ...]
    hardware: str
    rank: int = 0
    dtype: str = DTYPES[0]
    more: tuple[Mapping[str, Any], ...] = ()


def add(
    root: epath.PathLike,
    release: Release,
    folder: Path,
    *,
    step: int | None = None,
    overwrite: bool = False,
) -> Card:
    """Writes a model's weights and its card.

    The written files are read back and checked; the model is not evaluated.

    Args:
      root: work directory.
      release: the model's name and other properties.
      folder: folder of the models.
      step: training step of the checkpoint; None for the best on held-out puzzles.
      overwrite: whether to replace an existing model of this name.

    Raises:
      UserError: the name is invalid or taken, the checkpoint does not exist or cannot be released,
        or the folder cannot be written.
    """
    if not NAME.fullmatch(release.name):
        raise UserError(
            f"--name is {release.name!r}; use lower-case letters, digits and hyphens, as in "
            "sudoku-6x6-lattice."
        )
    path = folder / f"{release.name}.json"
    for place in (path, path.with_suffix(".npz")):
        if place.exists() and not overwrite:
            raise UserError(f"{place} already exists; give another --name, or --overwrite.")
    trained = load(root, step)
    _refuse(trained)
    content = encode(trained.weights, release.dtype)
    record = _record(trained, release, content)
    write_whole(epath.Path(path.with_suffix(".npz")), content)
    write_whole(epath.Path(path), json.dumps(record, indent=2, ensure_ascii=False) + "\n")
    card = Card.open(path)
    read_arrays(card)
    return card


def read_measurements(path: str) -> tuple[dict[str, Any], ...]:
    """Reads a JSON file with a list of measurements.

    Raises:
      UserError: the file cannot be read, or an entry is incomplete.
    """
    try:
        entries = json.loads(Path(path).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"--measured {path} cannot be read ({error}); give JSON.") from error
    if not isinstance(entries, list) or not all(isinstance(each, dict) for each in entries):
        raise UserError(f"--measured {path} is not a list of measurements; write [{{...}}, ...].")
    for number, entry in enumerate(entries, 1):
        for key, kind in MEASURED.items():
            if not isinstance(entry.get(key), kind):
                raise UserError(
                    f"--measured {path}: measurement {number} has no {key!r} of the right type; "
                    f"give {', '.join(MEASURED)}."
                )
    return tuple(entries)


def clones_folder() -> Path:
    """The folder of the package's models in a clone of the repository.

    Raises:
      UserError: this trm_jax is not a clone, or the clone cannot be written.
    """
    top = FOLDER.parents[2]
    if not (top / "setup.cfg").is_file() or not os.access(FOLDER.parent, os.W_OK):
        raise UserError(
            f"--folder is missing, and {FOLDER} is not in a clone that can be written; give the "
            "folder to write to."
        )
    return FOLDER


def _refuse(trained: Trained) -> None:
    """Refuses models that cannot be released.

    Raises:
      UserError: the model has named table rows, plugins, or weights that are not finite.
    """
    root, experiment = trained.workdir.root, trained.experiment
    if trained.rows.grouped:
        task_of(trained.manifest).lacks(
            "puzzles that share one row of the puzzle table", "use `trm export` for this model"
        )
    if experiment.plugins:
        raise UserError(
            f"{root} was trained with the plugin {experiment.plugins[0]}, which a released model "
            "cannot include; use `trm export`."
        )
    for name, leaf in named(trained.weights).items():
        if not np.isfinite(np.asarray(leaf)).all():
            raise UserError(
                f"{root}: checkpoint {trained.step} has values in {name} that are not finite; give "
                "another --checkpoint."
            )


def _record(trained: Trained, release: Release, content: bytes) -> dict[str, Any]:
    manifest = trained.manifest
    data = {key: value for key, value in manifest.items() if key != "sha256"}
    data["source"] = {key: _without_folder(value) for key, value in data["source"].items()}
    found = measured(trained.workdir, manifest, trained.step, release.hardware)
    return {
        "kind": KIND,
        "format": FORMAT,
        "trm_jax": trm_jax.__version__,
        "name": release.name,
        "title": task_of(manifest).title(manifest),
        "rank": release.rank,
        # of the network; rows of the puzzle table are not counted
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(trained.weights.params)),
        "dtype": release.dtype,
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "step": trained.step,
        "seed": trained.experiment.seed,
        "commands": list(release.commands),
        "measured": [*release.more, *found],
        "data": data,
        "config": _public(trained.experiment),
    }


def _public(experiment: Experiment) -> dict[str, Any]:
    """The settings without paths of this machine."""
    places = {"data.path": experiment.data.path, "init_from": experiment.init_from}
    bare = experiment.change({key: _without_folder(value) for key, value in places.items()})
    return bare.to_dict()


def _without_folder(value: Any) -> Any:
    """The last part of a path that is absolute or exists here; other values unchanged."""
    if not isinstance(value, str) or "/" not in value or "://" in value:
        return value
    path = Path(value).expanduser()
    return PurePath(value).name if path.is_absolute() or path.exists() else value
