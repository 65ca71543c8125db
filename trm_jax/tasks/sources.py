"""From a data setting or a path to a data set, whatever kind of thing it names."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from etils import epath

from trm_jax.core.errors import UserError
from trm_jax.core.files import write_whole
from trm_jax.core.settings import tuples
from trm_jax.data import format as dataset_format
from trm_jax.data.format import MANIFEST, Dataset
from trm_jax.tasks.settings import DataConfig
from trm_jax.tasks.task import TASKS, same_form, task_of

RENAMED = {"data.box": "data.sudoku.box", "data.extra_givens": "data.sudoku.extra_givens"}
RENAMED |= {"data.arc.test": "data.arc.test_subset"}
"""Names that settings of data sets had in earlier versions, and have in files of those."""


def load(directory: str | Path) -> Dataset:
    """Reads a data set directory and verifies it, for its task too.

    Raises:
      UserError: it is none, is damaged, or its task is unknown.
    """
    dataset = dataset_format.load(directory)
    task_of(dataset.manifest).check_dataset(dataset)
    return dataset


def training_data_path(config: DataConfig, cache: Path) -> Path:
    """Where the data set that a run trains on lies: its own directory, or the cache."""
    own = Path(config.path)
    sources = TASKS.get(config.task).takes_directories
    return own if own.is_dir() and (not sources or (own / MANIFEST).exists()) else cache


def open_training_data(config: DataConfig, cache: Path) -> Dataset:
    """The data set that a run trains on, built once into `cache` where it has to be built.

    Args:
      config: `path` is a dataset directory, or what one is built from.
      cache: where a built data set is kept, and found again on a resume.

    Raises:
      UserError: nothing can be read or built from it, or it is of another task.
    """
    if training_data_path(config, cache) != cache:
        dataset = load(config.path)
        if dataset.manifest["task"] != config.task:
            raise UserError(
                f"{config.path} is a data set of the task {dataset.manifest['task']!r} and "
                f"config.data.task is {config.task!r}; set one to the other."
            )
        return dataset
    request = cache.with_name(f"{cache.name}.json")
    if (cache / MANIFEST).exists():
        if not request.exists() or _asked(request) != config:
            raise UserError(
                f"{cache} was built from other settings than config.data now has; "
                f"set them back (they are in {request}), or give a new --workdir."
            )
        return load(cache)
    dataset = TASKS.get(config.task).build(config.request())
    text = json.dumps(config.to_dict(), indent=2) + "\n"
    write_whole(epath.Path(request), text)  # first: no cache is there without its request
    dataset_format.save(dataset, cache)
    return dataset


def open_test_data(path: str, manifest: dict[str, Any]) -> Dataset:
    """Puzzles to score on.

    Args:
      path: what the user named: a dataset directory, or a file (or "hub") whose puzzles are tests.
      manifest: of the data set that the model was trained on; the puzzles must be of its kind.

    Raises:
      UserError: nothing can be read from it, or the puzzles are of another kind.
    """
    task = task_of(manifest)
    dataset = load(path) if Path(path).is_dir() else task.build_test(path, manifest)
    same_form(task, manifest, dataset.manifest, path)
    return dataset


def renamed(config: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """A nested config with settings moved to the names that they have now.

    Args:
      config: nested plain data; left as it is.
      names: new dotted name by old dotted name.

    Raises:
      UserError: a setting has another value by its old name than by its new one.
    """
    moved = json_copy(config)
    for old, new in names.items():
        *groups, last = old.split(".")
        place: Any = moved
        for group in groups:
            place = place.get(group) if isinstance(place, dict) else None
        if not isinstance(place, dict) or last not in place:
            continue
        value, target = place.pop(last), moved
        *groups, last = new.split(".")
        for group in groups:
            target = target.setdefault(group, {}) if isinstance(target, dict) else None
        if not isinstance(target, dict):
            continue  # who reads the config refuses it by name
        if tuples(target.setdefault(last, value)) != tuples(value):
            raise UserError(
                f"config.{old} is {value!r} and config.{new}, as it is called now, is "
                f"{target[last]!r}; leave the first one out."
            )
    return moved


def json_copy(value: Any) -> Any:
    """A copy of nested mappings and sequences."""
    if isinstance(value, Mapping):
        return {key: json_copy(each) for key, each in value.items()}
    return type(value)(map(json_copy, value)) if isinstance(value, list | tuple) else value


def _asked(request: Path) -> DataConfig:
    """What a cached data set was built from."""
    try:
        record = json.loads(request.read_text())
        return DataConfig.read(renamed({"data": record}, RENAMED)["data"])
    except ValueError as error:
        raise UserError(
            f"{request} is damaged ({error}); remove it and the folder {request.stem} beside it, "
            "or give a new --workdir."
        ) from error
