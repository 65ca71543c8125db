"""Rows of a published puzzle table: the tasks and copies they belong to, and their order."""

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from trm_jax.core.errors import UserError
from trm_jax.data.format import MANIFEST
from trm_jax.data.rows import BLANK_ROWS, Rows
from trm_jax.models.puzzle_table import padded_rows
from trm_jax.published.shapes import TABLE
from trm_jax.tasks.settings import DataConfig
from trm_jax.tasks.sources import load
from trm_jax.tasks.task import TASKS
from trm_jax.train.trained import Trained

SHARED_ROWS = 1
"""Number of rows of a dataset whose puzzles all share one row."""
IDENTIFIERS = "identifiers.json"
"""File with the names of all rows, which the published code writes beside its datasets."""
ORDER = "published_rows.npy"
"""File in a work directory: for each row its row in the converted file, if rows were reordered."""

Arrays = dict[str, NDArray[Any]]

TYPES: dict[str, np.dtype[Any]] = {
    name: np.dtype(jnp.dtype(name)) for name in ("float32", "float16", "bfloat16")
}
"""Dtypes that arrays of a file may have."""


@dataclasses.dataclass(frozen=True)
class Named:
    """The rows of a table with their names.

    Attributes:
      rows: tasks and copies of the rows; BLANK_ROWS if unknown, or if all puzzles share one row.
      order: int64 [R], the file's row of each row; None if the order is unchanged.
      words: sentences for the user.
    """

    rows: Rows = BLANK_ROWS
    order: NDArray[np.int64] | None = None
    words: tuple[str, ...] = ()

    def facts(self, data: DataConfig) -> dict[str, Any]:
        """The entries of a manifest about the rows."""
        if not TASKS.get(data.task).grouped:
            return {"table_rows": SHARED_ROWS}
        copies = int(self.rows.counts().max()) - 1 if self.rows.grouped else data.copies
        facts: dict[str, Any] = {"table_rows": len(self.rows), "copies": copies, "seed": data.seed}
        return facts | ({"row_tasks": list(self.rows.names)} if self.rows.grouped else {})


def named_by(data: str | os.PathLike[str] | None, task: str, count: int, file: str) -> Named:
    """Finds the names of a table's rows in the dataset that it was trained on.

    Args:
      data: a dataset directory of the published code, which has an identifiers.json, or that file;
        or a dataset of this package; None if there is none.
      task: task of the puzzles.
      count: number of rows of the table.
      file: name of the file of weights, for messages.

    Raises:
      UserError: the dataset has a different number of rows, or the task does not use rows.
    """
    grouped = TASKS.get(task).grouped
    if data is None:
        if not grouped or count <= SHARED_ROWS:
            return Named()
        return Named(
            words=(
                f"the tasks of the {count:,} rows of {TABLE} are unknown, so no task can use its "
                "row; give the dataset of these weights with --data DIR "
                f"(its {IDENTIFIERS}), or evaluate with `trm eval --unknown_rows=blank`",
            )
        )
    if not grouped:
        TASKS.get(task).lacks("rows of the puzzle table by name", "leave --data out")
    path = Path(data).expanduser()
    names = path / IDENTIFIERS if path.is_dir() else path
    if names.is_file() and names.suffix == ".json":
        rows, order = TASKS.get(task).rows_of_names(_identifiers(names), str(names))
    elif (path / MANIFEST).exists():
        dataset = load(path)
        if dataset.manifest["task"] != task:
            raise UserError(
                f"--data {path} is for the task {dataset.manifest['task']!r}, but config.data.task "
                f"is {task!r}; give the dataset that these weights were trained on."
            )
        rows, order = dataset.rows, np.arange(len(dataset.rows))
    else:
        raise UserError(
            f"--data {path} has neither an {IDENTIFIERS} nor a {MANIFEST}; give the dataset that "
            "these weights were trained on."
        )
    if count not in (len(rows), padded_rows(0, len(rows))):
        raise UserError(
            f"--data {path} names {len(rows):,} rows, but {TABLE} of {file} has {count:,}; give "
            "the dataset that these weights were trained on."
        )
    moved = not (order == np.arange(len(order))).all()
    words = f"the rows of {TABLE} are named by {path}: {len(rows.names):,} tasks and their copies"
    rest = np.arange(len(rows), count)  # padding of the table
    return Named(rows, np.concatenate([order, rest]) if moved else None, (words,))


def _identifiers(path: Path) -> list[str]:
    try:
        names = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"--data {path} cannot be read ({error}); give another one.") from error
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UserError(f"--data {path} is not a list of names; give the dataset of these weights.")
    return names


def remapped(table: NDArray[Any], path: Path) -> NDArray[Any]:
    """Reorders a table by a row map.

    Args:
      table: [R, E].
      path: JSON file with a list of row numbers, or null for a row of zeros.

    Raises:
      UserError: the file cannot be read, or has invalid entries.
    """
    try:
        rows = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"--rows {path} cannot be read ({error}); give a JSON list.") from error
    if not isinstance(rows, Sequence) or isinstance(rows, str) or not rows:
        raise UserError(f"--rows {path} is not a list of rows; write one like [0, 2, null].")
    for place, row in enumerate(rows):
        if row is not None and (type(row) is not int or not 0 <= row < len(table)):
            raise UserError(
                f"--rows {path}: entry {place} is {row!r}; give a row from 0 to {len(table) - 1} "
                f"of {TABLE}, or null for a row of zeros."
            )
    zero = np.zeros_like(table[0])
    return np.stack([zero if row is None else table[row] for row in rows])


def padded(table: jax.Array, configured: int) -> jax.Array:
    """Pads a table with rows of zeros to the size that `config.table.rows` gives."""
    more = padded_rows(configured, len(table)) - len(table)
    return jnp.pad(table, ((0, more), (0, 0))) if more else table


def form_of(arrays: Mapping[str, NDArray[Any]], dtype: str) -> dict[str, Any]:
    """The dtypes and number of rows of a file, where they differ from what `to_torch` writes.

    Args:
      arrays: arrays of the file.
      dtype: dtype of the model's activations.
    """
    usual = {name: dtype if name.endswith("_init") else "float32" for name in arrays}
    types = {name: str(array.dtype) for name, array in arrays.items()}
    types = {name: found for name, found in types.items() if found != usual[name]}
    found: dict[str, Any] = {"dtypes": types} if types else {}
    return found | ({"rows": len(arrays[TABLE])} if TABLE in arrays else {})


def write_order(workdir: Path, named: Named) -> None:
    """Writes the order of a file's rows, so that `as_in_the_file` can restore it."""
    if named.order is not None:
        np.save(workdir / ORDER, named.order)


def as_in_the_file(trained: Trained, arrays: Arrays) -> Arrays:
    """The arrays of a converted model with the row order and the dtypes of its original file.

    Args:
      trained: the converted model.
      arrays: its arrays by their names below `model.inner.`.

    Raises:
      UserError: the record of the order or the dtypes is damaged.
    """
    source, path = trained.manifest["source"], Path(trained.workdir.root) / ORDER
    arrays = dict(arrays)
    try:
        if TABLE in arrays and "rows" in source:
            arrays[TABLE] = arrays[TABLE][: source["rows"]]
        if TABLE in arrays and path.exists():
            order = np.load(path, allow_pickle=False)
            if not (np.sort(order) == np.arange(source["rows"])).all():
                raise ValueError("it is not an order of the table's rows")
            arrays[TABLE] = arrays[TABLE][np.argsort(order)]
        for name, dtype in source.get("dtypes", {}).items():
            arrays[name] = arrays[name].astype(TYPES[dtype])
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise UserError(
            f"{path if path.exists() else trained.workdir.config} is damaged "
            f"({type(error).__name__}: {error}); convert the published weights anew."
        ) from error
    return arrays
