"""From a data setting or a path to a data set, whatever kind of thing it names."""

import dataclasses
import json
from pathlib import Path
from typing import Any

from etils import epath

from trm_jax.config.experiment import DataConfig
from trm_jax.core.errors import UserError
from trm_jax.core.files import write_whole
from trm_jax.data import format as dataset_format
from trm_jax.data.format import Dataset
from trm_jax.tasks.arc.build import Recipe, build, build_tasks, refuse_overlap
from trm_jax.tasks.arc.read import read_file, solutions_beside
from trm_jax.tasks.maze import build as maze_build
from trm_jax.tasks.sudoku import build as sudoku_build


def training_data_path(config: DataConfig, cache: Path) -> Path:
    """Where the data set that a run trains on lies: its own directory, or the cache."""
    own = Path(config.path)
    # of ARC a directory may be a source, too
    is_own = own.is_dir() and (config.task != "arc" or (own / dataset_format.MANIFEST).exists())
    return own if is_own else cache


def open_training_data(config: DataConfig, cache: Path) -> Dataset:
    """The data set that a run trains on, built once into `cache` where it has to be built.

    Args:
      config: see `DataConfig`; `path` is a dataset directory, or what one is built from.
      cache: where a built data set is kept, and found again on a resume.

    Raises:
      UserError: nothing can be read or built from it.
    """
    if training_data_path(config, cache) != cache:
        return dataset_format.load(config.path)
    request = cache.with_name(f"{cache.name}.json")
    wanted = json.loads(json.dumps(dataclasses.asdict(config)))
    if (cache / dataset_format.MANIFEST).exists():
        # settings that came later are not in older files: they had what is now the default
        defaults = json.loads(json.dumps(dataclasses.asdict(DataConfig())))
        if not request.exists() or defaults | json.loads(request.read_text()) != wanted:
            raise UserError(
                f"{cache} was built from other settings than config.data now has; "
                f"set them back (they are in {request}), or give a new --workdir."
            )
        return dataset_format.load(cache)
    dataset = _BUILDERS[config.task](config)
    text = json.dumps(wanted, indent=2) + "\n"
    write_whole(epath.Path(request), text)  # first: no cache is there without its request
    dataset_format.save(dataset, cache)
    return dataset


def open_test_data(path: str, manifest: dict[str, Any]) -> Dataset:
    """Puzzles to score on.

    Args:
      path: what the user named: a dataset directory; or a CSV (or "hub") whose every row is a test;
        or a JSON file of ARC tasks, whose tests are.
      manifest: of the data set that the model was trained on; the puzzles must be of its kind.

    Raises:
      UserError: nothing can be read from it, or the puzzles are of another kind.
    """
    task = manifest["task"]
    if Path(path).is_dir():
        dataset = dataset_format.load(path)
    elif task == "arc":
        tasks = read_file(Path(path), solutions_beside(Path(path)))
        seed = manifest["seed"]  # so that copies have the names that they have in the table
        dataset = build_tasks(tasks, manifest["side"], manifest["copies"], seed, path)
    elif task == "maze":
        dataset = maze_build.build_test(path, manifest["side"])
    else:
        dataset = sudoku_build.build_test(path, manifest["box"])
    for key in ("task", "box", "side", "vocab", "cells"):
        if dataset.manifest.get(key) != manifest.get(key):
            raise UserError(
                f"{path} has {key} {dataset.manifest.get(key)} and the model was trained with "
                f"{manifest.get(key)}; give puzzles of the model's kind."
            )
    if "test_subset" in dataset.manifest:
        refuse_overlap(manifest.get("subsets", ()), dataset.manifest["test_subset"])
    return dataset


def _build_sudoku(config: DataConfig) -> Dataset:
    return sudoku_build.build(
        box=config.box,
        source=config.path,
        train=config.base_examples,
        heldout=config.heldout_examples,
        seed=config.seed,
        extra_givens=config.extra_givens,
    )


def _build_maze(config: DataConfig) -> Dataset:
    return maze_build.build(
        source=config.path,
        train=config.base_examples,
        heldout=config.heldout_examples,
        seed=config.seed,
        **dataclasses.asdict(config.maze),
    )


def _build_arc(config: DataConfig) -> Dataset:
    recipe = Recipe(
        source=config.path,
        subsets=tuple(config.arc.subsets.split(",")),
        test=config.arc.test,
        strict=config.arc.strict,
        tasks=config.base_examples,
        heldout=config.heldout_examples,
        copies=config.copies,
        side=config.arc.side,
        seed=config.seed,
    )
    return build(recipe)


_BUILDERS = {"sudoku": _build_sudoku, "maze": _build_maze, "arc": _build_arc}
