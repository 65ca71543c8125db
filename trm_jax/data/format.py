"""The on-disk format of a dataset: a directory of NumPy arrays and a manifest of their hashes."""

import dataclasses
import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trm_jax.core.errors import UserError
from trm_jax.data.rows import BLANK_ROWS, Rows

FORMAT_VERSION = 1
SPLITS = ("train", "heldout", "test")
MANIFEST = "manifest.json"
_ORIGIN = ("fingerprint", "source", "seed", "builder_version")
_KEYS = {
    "format_version": int,
    "task": str,
    "vocab": int,
    "cells": int,
    "table_rows": int,
    "seed": int,
    "source": dict,
    "counts": dict,
    "sha256": dict,
    "fingerprint": str,
}


@dataclasses.dataclass(frozen=True)
class Dataset:
    """Base examples, without augmented copies, and their splits.

    Attributes:
        inputs: uint8 [M, S], token ids of the questions.
        labels: uint8 [M, S], token ids of the answers; 0 marks a cell that is not scored.
        ids: int32 [M], row of each example in the puzzle table; where every augmented copy has a
            row, that of the original.
        splits: int64 [m] example indices by name of the split; no example is in two splits.
        manifest: content of `manifest.json`.
        rows: names of the puzzle table's rows.
    """

    inputs: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    ids: NDArray[np.int32]
    splits: dict[str, NDArray[np.int64]]
    manifest: dict[str, Any]
    rows: Rows = BLANK_ROWS

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All arrays, by the name of their file without `.npy`."""
        arrays: dict[str, NDArray[Any]] = {"inputs": self.inputs, "labels": self.labels}
        arrays["ids"] = self.ids
        if self.rows.grouped:
            arrays |= {"rows_first": self.rows.first, "rows_transforms": self.rows.transforms}
        splits = {f"split_{name}": self.splits[name] for name in SPLITS if name in self.splits}
        return arrays | splits

    def puzzles(self) -> NDArray[np.int64]:
        """Index of the named puzzle that each example belongs to, int64 [M]; see `Rows`."""
        return self.rows.puzzles(self.ids)

    def examples(self, split: str) -> NDArray[np.int64]:
        """Indices of a split's examples, int64 [m], m >= 1.

        Raises:
            UserError: the split is missing or empty.
        """
        index = self.splits.get(split)
        if index is None or not len(index):
            names = ", ".join(name for name, index in self.splits.items() if len(index))
            raise UserError(f"the dataset has no puzzles in split '{split}'; it has: {names}.")
        return index


def assemble(
    inputs: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    ids: NDArray[np.int32],
    splits: dict[str, NDArray[np.int64]],
    facts: dict[str, Any],
    rows: Rows = BLANK_ROWS,
) -> Dataset:
    """Makes a Dataset and completes its manifest with counts and hashes.

    Args:
        inputs: as in Dataset.
        labels: as in Dataset.
        ids: as in Dataset.
        splits: as in Dataset.
        facts: the manifest's task, vocab, seed, source and keys that the task adds.
        rows: as in Dataset.

    Raises:
        UserError: the arrays are inconsistent with each other, the vocabulary or the puzzle table.
    """
    splits = {name: splits[name] for name in sorted(splits, key=SPLITS.index)}
    draft = Dataset(inputs, labels, ids, splits, {}, rows)
    names = {"row_tasks": list(rows.names)} if rows.grouped else {}
    manifest = {
        "format_version": FORMAT_VERSION,
        **facts,
        "table_rows": len(rows),
        **names,
        "cells": inputs.shape[1],
        "counts": {name: len(index) for name, index in splits.items()},
        "sha256": {name: _sha256(array) for name, array in draft.arrays().items()},
    }
    manifest["fingerprint"] = _fingerprint(manifest)
    dataset = dataclasses.replace(draft, manifest=manifest)
    _check(dataset, "this dataset")
    return dataset


def save(dataset: Dataset, directory: str | os.PathLike[str]) -> None:
    """Writes a dataset to a directory atomically.

    A directory that already holds the same dataset is left unchanged.

    Raises:
        UserError: the directory holds something else, or cannot be written.
    """
    target = Path(directory)
    try:
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            return _refuse_unless_same(dataset, target)
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as beside:
            # A nested directory, since the one that `tempfile` makes is private (mode 0700).
            draft = Path(beside) / target.name
            draft.mkdir()
            for name, array in dataset.arrays().items():
                np.save(draft / f"{name}.npy", array, allow_pickle=False)
            (draft / MANIFEST).write_text(json.dumps(dataset.manifest, indent=2) + "\n", "utf-8")
            try:
                os.rename(draft, target)
            except OSError:
                if not (target / MANIFEST).exists():
                    raise
                _refuse_unless_same(dataset, target)  # another process has written it meanwhile
    except OSError as error:
        raise UserError(
            f"{target}: the dataset cannot be written there ({error}); give another directory."
        ) from error


def load(directory: str | os.PathLike[str]) -> Dataset:
    """Reads a dataset into memory and verifies its hashes.

    Raises:
        UserError: a file is missing, unreadable, of another format version or changed since it
            was written, or its contents are out of range; the message names the file.
    """
    root = Path(directory)
    manifest = _read_manifest(root)
    names = [name for name in SPLITS if name in manifest["counts"]]
    plan = ["rows_first", "rows_transforms"] if "row_tasks" in manifest else []
    files = ["inputs", "labels", "ids", *plan, *(f"split_{name}" for name in names)]
    arrays = {name: _read(root, name, manifest) for name in files}
    if _fingerprint(manifest) != manifest["fingerprint"]:
        raise UserError(
            f"{root / MANIFEST} was changed since it was written ('fingerprint' no longer fits); "
            "build the dataset anew."
        )
    splits = {name: arrays[f"split_{name}"] for name in names}
    rows = Rows(tuple(manifest["row_tasks"]), *(arrays[name] for name in plan)) if plan else None
    examples = (arrays["inputs"], arrays["labels"], arrays["ids"])
    dataset = Dataset(*examples, splits, manifest, rows or BLANK_ROWS)
    _check(dataset, str(root))
    return dataset


def _refuse_unless_same(dataset: Dataset, target: Path) -> None:
    try:
        same = load(target).manifest["fingerprint"] == dataset.manifest["fingerprint"]
    except UserError:
        same = False
    if not same:
        raise UserError(
            f"{target} already holds something other than this dataset; remove it or give "
            "another directory."
        )


def _read_manifest(root: Path) -> dict[str, Any]:
    path = root / MANIFEST
    try:
        manifest = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror}); a dataset is a directory that "
            "'trm data' wrote."
        ) from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not valid JSON ({error}); build the dataset anew.") from error
    version = manifest.get("format_version") if isinstance(manifest, dict) else None
    if version != FORMAT_VERSION:
        raise UserError(
            f"{path}: format_version is {version!r} and this program reads {FORMAT_VERSION}; "
            "build the dataset anew."
        )
    for key, kind in _KEYS.items():
        if not isinstance(manifest.get(key), kind):
            raise UserError(
                f"{path}: key '{key}' is missing or not of type {kind.__name__}; "
                "build the dataset anew."
            )
    return manifest


def _read(root: Path, name: str, manifest: dict[str, Any]) -> NDArray[Any]:
    path = root / f"{name}.npy"
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        reason = "is missing" if not path.exists() else f"cannot be read ({error})"
        raise UserError(f"{path} {reason}; build the dataset anew.") from error
    if _sha256(array) != manifest["sha256"].get(name):
        raise UserError(
            f"{path} differs from the SHA-256 in {MANIFEST}, so it was damaged or changed; "
            "build the dataset anew."
        )
    return array


def _check(dataset: Dataset, where: str) -> None:
    """Checks arrays against each other, the vocabulary and the puzzle table."""
    manifest, examples = dataset.manifest, len(dataset.ids)
    grid = (np.uint8, (examples, manifest["cells"]), manifest["vocab"])
    expected: dict[str, tuple[Any, tuple[Any, ...], int]] = {
        "inputs": grid,
        "labels": grid,
        "ids": (np.int32, (examples,), manifest["table_rows"]),
    }
    if dataset.rows.grouped:
        puzzles, rows = len(manifest["row_tasks"]), manifest["table_rows"]
        expected["rows_first"] = (np.int64, (puzzles + 1,), rows + 1)
        width = dataset.rows.transforms.shape[-1]
        expected["rows_transforms"] = (np.uint8, (rows, width), 256)
    for name in dataset.splits:
        expected[f"split_{name}"] = (np.int64, (manifest["counts"][name],), examples)
    for name, array in dataset.arrays().items():
        dtype, shape, limit = expected[name]
        if array.shape != shape or array.dtype != dtype:
            found, wanted = (array.dtype, array.shape), (np.dtype(dtype), shape)
            problem = f"is {found[0]} {found[1]} instead of {wanted[0]} {wanted[1]}"
        elif array.size and not (array.min() >= 0 and array.max() < limit):
            problem = f"holds {array.min()} to {array.max()}, outside 0 to {limit - 1}"
        else:
            continue
        raise UserError(f"{where}: {name}.npy {problem}; build the dataset anew.")
    first = dataset.rows.first
    if first[0] != 1 or first[-1] != len(dataset.rows) or (np.diff(first) < 1).any():
        raise UserError(
            f"{where}: rows_first.npy does not divide the rows among the puzzles; "
            "build the dataset anew."
        )
    used = np.concatenate([np.zeros(0, np.int64), *dataset.splits.values()])
    if len(np.unique(used)) != len(used):
        raise UserError(f"{where}: an example is in two splits, or twice; build the dataset anew.")


def _sha256(array: NDArray[Any]) -> str:
    """Hashes dtype, shape and contents; not the file, whose header depends on NumPy's version."""
    little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    digest = hashlib.sha256(f"{little.dtype.str} {little.shape}\n".encode())
    digest.update(little.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _fingerprint(manifest: dict[str, Any]) -> str:
    """One hash of all that a training run depends on, so without the data's origin (`_ORIGIN`)."""
    seen = {key: value for key, value in manifest.items() if key not in _ORIGIN}
    return hashlib.sha256(json.dumps(seen, sort_keys=True).encode()).hexdigest()
