"""Rows of a published puzzle table: whose they are, and the order in which a file has them."""

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
"""Rows of a data set whose puzzles have none of their own: all of them share one."""
IDENTIFIERS = "identifiers.json"
"""Names of all rows, as the published code writes them beside its data sets."""
ORDER = "published_rows.npy"
"""In a work directory: the file's row of each row, where rows were brought into another order."""

Arrays = dict[str, NDArray[Any]]

TYPES: dict[str, np.dtype[Any]] = {
    name: np.dtype(jnp.dtype(name)) for name in ("float32", "float16", "bfloat16")
}
"""Types that arrays of a file may have."""


@dataclasses.dataclass(frozen=True)
class Named:
    """Whose the rows of a table are.

    Attributes:
      rows: BLANK_ROWS where nobody knows, or all puzzles share one.
      order: the file's row of each; None where the order stays.
      words: what is to be said of it.
    """

    rows: Rows = BLANK_ROWS
    order: NDArray[np.int64] | None = None
    words: tuple[str, ...] = ()

    def facts(self, data: DataConfig) -> dict[str, Any]:
        """What a manifest says of the rows."""
        if not TASKS.get(data.task).grouped:
            return {"table_rows": SHARED_ROWS}
        copies = int(self.rows.counts().max()) - 1 if self.rows.grouped else data.copies
        facts: dict[str, Any] = {"table_rows": len(self.rows), "copies": copies, "seed": data.seed}
        return facts | ({"row_tasks": list(self.rows.names)} if self.rows.grouped else {})


def named_by(data: str | os.PathLike[str] | None, task: str, count: int, file: str) -> Named:
    """Finds the names of a table's rows in the data set that it was trained on.

    Args:
      data: directory of the published code's, which has an identifiers.json, or that file; or a
        data set of ours; None where there is none at hand.
      task: whose puzzles they are.
      count: rows of the table.
      file: of the weights.

    Raises:
      UserError: the data set has other rows, or the task's puzzles have none of their own.
    """
    grouped = TASKS.get(task).grouped
    if data is None:
        if not grouped or count <= SHARED_ROWS:
            return Named()
        return Named(
            words=(
                f"the {count:,} rows of {TABLE} are positions and nothing tells whose: no task has "
                "its own row; give the data set of these weights with --data DIR "
                f"(its {IDENTIFIERS}), or score with `trm eval --unknown_rows=blank`",
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
                f"--data {path} is of the task {dataset.manifest['task']!r} and config.data.task "
                f"is {task!r}; give the data set of these weights."
            )
        rows, order = dataset.rows, np.arange(len(dataset.rows))
    else:
        raise UserError(
            f"--data {path} has neither an {IDENTIFIERS} nor a {MANIFEST}; give the data set that "
            "these weights were trained on."
        )
    if count not in (len(rows), padded_rows(0, len(rows))):
        raise UserError(
            f"--data {path} names {len(rows):,} rows and {TABLE} of {file} has {count:,}; give the "
            "data set that these weights were trained on."
        )
    moved = not (order == np.arange(len(order))).all()
    words = f"the rows of {TABLE} are named by {path}: {len(rows.names):,} tasks and their copies"
    rest = np.arange(len(rows), count)  # of a table that was padded
    return Named(rows, np.concatenate([order, rest]) if moved else None, (words,))


def _identifiers(path: Path) -> list[str]:
    try:
        names = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"--data {path} cannot be read ({error}); give another one.") from error
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UserError(f"--data {path} holds no list of names; give the one of these weights.")
    return names


def remapped(table: NDArray[Any], path: Path) -> NDArray[Any]:
    """The rows that a map names, zeros where it has null."""
    try:
        rows = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"--rows {path} cannot be read ({error}); give a JSON list.") from error
    if not isinstance(rows, Sequence) or isinstance(rows, str) or not rows:
        raise UserError(f"--rows {path} holds no list of rows; write one like [0, 2, null].")
    for place, row in enumerate(rows):
        if row is not None and (type(row) is not int or not 0 <= row < len(table)):
            raise UserError(
                f"--rows {path}: entry {place} is {row!r}; {TABLE} has rows 0 to {len(table) - 1}, "
                "and null stands for a fresh one."
            )
    zero = np.zeros_like(table[0])
    return np.stack([zero if row is None else table[row] for row in rows])


def padded(table: jax.Array, configured: int) -> jax.Array:
    """A table with as many rows as one of `config.table.rows` has; the new ones are zeros."""
    more = padded_rows(configured, len(table)) - len(table)
    return jnp.pad(table, ((0, more), (0, 0))) if more else table


def form_of(arrays: Mapping[str, NDArray[Any]], dtype: str) -> dict[str, Any]:
    """How a file has its arrays, where that is not what `to_torch` would write.

    Args:
      arrays: of the file.
      dtype: of the model's activations.
    """
    usual = {name: dtype if name.endswith("_init") else "float32" for name in arrays}
    types = {name: str(array.dtype) for name, array in arrays.items()}
    types = {name: found for name, found in types.items() if found != usual[name]}
    found: dict[str, Any] = {"dtypes": types} if types else {}
    return found | ({"rows": len(arrays[TABLE])} if TABLE in arrays else {})


def write_order(workdir: Path, named: Named) -> None:
    """Keeps the order of a file's rows, for the way back."""
    if named.order is not None:
        np.save(workdir / ORDER, named.order)


def as_in_the_file(trained: Trained, arrays: Arrays) -> Arrays:
    """The arrays of a converted model as its file had them: rows in their order, types.

    Raises:
      UserError: what was kept of that is damaged.
    """
    source, path = trained.manifest["source"], Path(trained.workdir.root) / ORDER
    arrays = dict(arrays)
    try:
        if TABLE in arrays and "rows" in source:
            arrays[TABLE] = arrays[TABLE][: source["rows"]]
        if TABLE in arrays and path.exists():
            order = np.load(path, allow_pickle=False)
            if not (np.sort(order) == np.arange(source["rows"])).all():
                raise ValueError("it is no order of the table's rows")
            arrays[TABLE] = arrays[TABLE][np.argsort(order)]
        for name, dtype in source.get("dtypes", {}).items():
            arrays[name] = arrays[name].astype(TYPES[dtype])
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise UserError(
            f"{path if path.exists() else trained.workdir.config} is damaged "
            f"({type(error).__name__}: {error}); convert the published weights anew."
        ) from error
    return arrays
