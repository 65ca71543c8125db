"""From a data setting or a path to a data set, whatever kind of thing it names."""

import dataclasses
import json
from pathlib import Path
from typing import Any

from etils import epath

from trm_jax.config import DataConfig
from trm_jax.data import format as dataset_format
from trm_jax.data.format import Dataset
from trm_jax.data.sudoku_build import build, build_test
from trm_jax.errors import UserError
from trm_jax.files import write_whole


def training_data_path(config: DataConfig, cache: Path) -> Path:
    """Where the data set that a run trains on lies: its own directory, or the cache."""
    own = Path(config.path)
    return own if own.is_dir() else cache


def open_training_data(config: DataConfig, cache: Path) -> Dataset:
    """The data set that a run trains on, built once into `cache` where it has to be built.

    Args:
      config: see `DataConfig`; `path` is a dataset directory, a CSV, "hub" or "generate".
      cache: where a built data set is kept, and found again on a resume.

    Raises:
      UserError: nothing can be read or built from it.
    """
    if training_data_path(config, cache) != cache:
        return dataset_format.load(config.path)
    request = cache.with_name(f"{cache.name}.json")
    wanted = json.dumps(dataclasses.asdict(config), indent=2) + "\n"
    if (cache / dataset_format.MANIFEST).exists():
        if not request.exists() or request.read_text() != wanted:
            raise UserError(
                f"{cache} was built from other settings than config.data now has; "
                f"set them back (they are in {request}), or give a new --workdir."
            )
        return dataset_format.load(cache)
    dataset = build(
        box=config.box,
        source=config.path,
        train=config.base_examples,
        heldout=config.heldout_examples,
        seed=config.seed,
        extra_givens=config.extra_givens,
    )
    write_whole(epath.Path(request), wanted)  # first: no cache is there without its request
    dataset_format.save(dataset, cache)
    return dataset


def open_test_data(path: str, manifest: dict[str, Any]) -> Dataset:
    """Puzzles to score on: a dataset directory, or a CSV (or "hub") whose every row is a test.

    Args:
      path: what the user named.
      manifest: of the data set that the model was trained on; the puzzles must be of its kind.

    Raises:
      UserError: nothing can be read from it, or the puzzles are of another kind.
    """
    if Path(path).is_dir():
        dataset = dataset_format.load(path)
    else:
        dataset = build_test(path, manifest["box"])
    for key in ("task", "box", "vocab", "cells", "table_rows"):
        if dataset.manifest[key] != manifest[key]:
            raise UserError(
                f"{path} has {key} {dataset.manifest[key]} and the model was trained with "
                f"{manifest[key]}; give puzzles of the model's kind."
            )
    return dataset
