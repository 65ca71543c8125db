"""Makes the pair of files of a released model out of a work directory."""

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
    """What a work directory does not say of its model.

    Attributes:
      name: of the model: small letters, digits and hyphens.
      commands: with which it was trained.
      hardware: on which it was measured.
      rank: of several models for the same puzzles the lowest is chosen.
      dtype: of the stored weights.
      more: measurements besides those of the work directory, which come before them.
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
    """Writes a model's weights, and then its card, without which they count for nothing.

    Nothing is evaluated. What was written is read back and checked.

    Args:
      root: the work directory.
      release: see there.
      folder: where the models lie.
      step: which checkpoint; None takes the best on held-out puzzles.
      overwrite: whether a model of this name may be there.

    Raises:
      UserError: the name is no name or is taken, there is no such checkpoint, it cannot be
        released, or the folder cannot be written.
    """
    if not NAME.fullmatch(release.name):
        raise UserError(
            f"--name is {release.name!r}; write small letters, digits and hyphens, as in "
            "sudoku-6x6-lattice."
        )
    path = folder / f"{release.name}.json"
    for place in (path, path.with_suffix(".npz")):
        if place.exists() and not overwrite:
            raise UserError(f"{place} is there; give another --name, or --overwrite.")
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
    """Measurements out of a JSON file with a list of them.

    Raises:
      UserError: it cannot be read, or an entry lacks something.
    """
    try:
        entries = json.loads(Path(path).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"--measured {path} cannot be read ({error}); give JSON.") from error
    if not isinstance(entries, list) or not all(isinstance(each, dict) for each in entries):
        raise UserError(f"--measured {path} is no list of measurements; write [{{...}}, ...].")
    for number, entry in enumerate(entries, 1):
        for key, kind in MEASURED.items():
            if not isinstance(entry.get(key), kind):
                raise UserError(
                    f"--measured {path}: measurement {number} has no {key!r} of the right type; "
                    f"give {', '.join(MEASURED)}."
                )
    return tuple(entries)


def clones_folder() -> Path:
    """The folder of the package's models, in a clone of the repository.

    Raises:
      UserError: this trm_jax is an installed one, or cannot be written.
    """
    top = FOLDER.parents[2]
    if not (top / "setup.cfg").is_file() or not os.access(FOLDER.parent, os.W_OK):
        raise UserError(
            f"--folder is missing, and {FOLDER} is no folder of a clone that can be written; give "
            "the folder to write to."
        )
    return FOLDER


def _refuse(trained: Trained) -> None:
    """Refuses what cannot be released.

    Raises:
      UserError: says why.
    """
    root, experiment = trained.workdir.root, trained.experiment
    if trained.rows.grouped:
        task_of(trained.manifest).lacks(
            "puzzles that share one row of the puzzle table", "use `trm export` for this model"
        )
    if experiment.plugins:
        raise UserError(
            f"{root} was trained with the plugin {experiment.plugins[0]}, which a released model "
            "cannot bring; use `trm export`."
        )
    for name, leaf in named(trained.weights).items():
        if not np.isfinite(np.asarray(leaf)).all():
            raise UserError(
                f"{root}: checkpoint {trained.step} has numbers in {name} that are not finite; "
                "give another --checkpoint."
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
    """The settings without folders of this machine."""
    places = {"data.path": experiment.data.path, "init_from": experiment.init_from}
    bare = experiment.change({key: _without_folder(value) for key, value in places.items()})
    return bare.to_dict()


def _without_folder(value: Any) -> Any:
    """The last part of a path that exists here or is absolute; all else as it is."""
    if not isinstance(value, str) or "/" not in value or "://" in value:
        return value
    path = Path(value).expanduser()
    return PurePath(value).name if path.is_absolute() or path.exists() else value
