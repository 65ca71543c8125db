"""Loads and runs an exported Tiny Recursive Model.

Needs only NumPy, JAX and flatbuffers (which `jax.export` uses to read programs). This file does not
depend on others; each exported directory has a copy of it:

    python load.py PUZZLE ...          answers puzzles of one line each (not for ARC)

    from load import load
    answers, halt_logits = load("this/directory")(tokens)
"""

import hashlib
import json
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

FORMAT_VERSION = 1
FILES = ("program.bin", "weights.npz", "table.npy")
ROWS = "rows.npz"  # for tasks whose puzzles have their own rows
MAX_ROWS = 1 << 32  # maximum size of ROWS, unpacked, in bytes
CHUNK = 1 << 14  # rows of the table that are checked at a time
KEYS: dict[str, Any] = {
    "sha256": dict,
    "kind": dict,
    "jax": str,
    "symbols": (list, type(None)),
    "cells": int,
    "vocab": int,
    "steps": int,
    "batch_size": (int, str),
}  # required entries of manifest.json
MOST = 64  # questions per call, if the program takes any number


class Program:
    """An exported model: maps the tokens of questions to the tokens of answers.

    Attributes:
      manifest: content of manifest.json, which has the meaning of each token.
    """

    def __init__(
        self, manifest: dict[str, Any], call: Callable[..., Any], weights: Any, table: np.ndarray
    ) -> None:
        """Takes a function of (weights, inputs, rows), its weights, and the puzzle table."""
        self.manifest = manifest
        self._call, self._weights, self._table = jax.jit(call), jax.device_put(weights), table

    def __call__(
        self, inputs: Any, ids: Any = None, size: int = MOST
    ) -> tuple[np.ndarray, np.ndarray]:
        """Answers questions.

        Args:
          inputs: integer [m, S], tokens of the questions.
          ids: integer [m], rows of the puzzle table; None for row 0, which is right except for ARC.
          size: questions per call of the program, if it takes any number.

        Returns:
          The answers after each step, uint8 [N, m, S], and halting logits, float32 [N, m]; the
          model is confident in answers with a logit above 0.

        Raises:
          ValueError: the questions do not fit the program.
        """
        inputs = np.asarray(inputs)
        cells, vocab = self.manifest["cells"], self.manifest["vocab"]
        if inputs.ndim != 2 or inputs.shape[1] != cells or not len(inputs):
            raise ValueError(
                f"the questions have shape {inputs.shape}; the program takes [m, {cells}]"
            )
        if inputs.dtype.kind not in "iu" or inputs.min() < 0 or inputs.max() >= vocab:
            raise ValueError(f"the questions' tokens must be whole numbers from 0 to {vocab - 1}")
        ids = np.zeros(len(inputs), int) if ids is None else np.asarray(ids)
        if ids.shape != inputs.shape[:1] or ids.min() < 0 or ids.max() >= len(self._table):
            raise ValueError(
                f"ids must be {len(inputs)} whole numbers from 0 to {len(self._table) - 1}"
            )
        fixed = self.manifest["batch_size"]
        # rounded up to a power of two, so that few sizes are compiled
        size = min(size, 1 << (len(inputs) - 1).bit_length()) if fixed == "any" else fixed
        parts = []
        for first in range(0, len(inputs), size):
            part = slice(first, first + size)
            rows = floats(np.asarray(self._table[ids[part]]))
            pad = ((0, size - len(rows)), (0, 0))
            padded = np.pad(inputs[part].astype(np.int32), pad, mode="edge")
            found = jax.device_get(self._call(self._weights, padded, np.pad(rows, pad)))
            parts.append([array[:, : len(rows)] for array in found])
        answers, halt_logits = (np.concatenate(p, axis=1) for p in zip(*parts, strict=True))
        return answers, halt_logits


def load(directory: str | Path) -> Program:
    """Loads an exported directory.

    Raises:
      ValueError: it is not an export, or is damaged.
    """
    root = Path(directory)
    manifest = read_manifest(root)
    check_files(root, manifest)
    try:
        exported = jax.export.deserialize(bytearray((root / "program.bin").read_bytes()))
    except ImportError as error:
        raise ValueError(
            "jax.export reads programs with flatbuffers; pip install flatbuffers"
        ) from error
    except Exception as error:  # another version of JAX can raise anything
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(
            f"{root / 'program.bin'} was written by JAX {manifest['jax']}, and JAX "
            f"{jax.__version__} cannot read it ({reason}); export the model again"
        ) from error
    weights = tree({name: floats(array) for name, array in read_arrays(root).items()})
    # memory-mapped: an ARC table is large, and few of its rows are used at a time
    table = read_table(root)
    check_fit(root, exported, weights, table, manifest)
    return Program(manifest, exported.call, weights, table)


def read_manifest(root: Path) -> dict[str, Any]:
    """Reads manifest.json of an exported directory.

    Raises:
      ValueError: it cannot be read, or is not the manifest of an export.
    """
    path = root / "manifest.json"
    try:
        manifest = json.loads(path.read_text("utf-8"))
        version = manifest["trm_export"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        reason = f"{type(error).__name__}: {error}" if isinstance(error, OSError) else repr(error)
        raise ValueError(
            f"{root} is not an exported model: its manifest.json cannot be read ({reason[:200]})"
        ) from error
    if version != FORMAT_VERSION:
        raise ValueError(
            f"{root} has format version {version}, but this program reads {FORMAT_VERSION}; "
            "export the model again, or use the load.py in its directory"
        )
    for key, kinds in KEYS.items():
        if key not in manifest:
            raise ValueError(f"{path} lacks {key!r}; export the model again")
        value = manifest[key]
        if not isinstance(value, kinds) or isinstance(value, bool):
            raise ValueError(f"{path} has {key} {str(value)[:80]!r}; export the model again")
    symbols, size = manifest["symbols"], manifest["batch_size"]
    if symbols is not None and not all(isinstance(symbol, str) for symbol in symbols):
        raise ValueError(f"{path} has symbols that are not strings; export the model again")
    numbers = [manifest[key] for key in ("cells", "vocab", "steps")]
    if min(numbers) < 1 or (size != "any" and (isinstance(size, str) or size < 1)):
        raise ValueError(f"{path} has sizes {[*numbers, size]}; export the model again")
    return manifest


def check_files(root: Path, manifest: dict[str, Any]) -> None:
    """Verifies the SHA-256 of all files of an export.

    The files have fixed names, so nothing outside the directory is read.

    Raises:
      ValueError: a file is missing or was changed.
    """
    digests = manifest["sha256"]
    if set(digests) not in (set(FILES), {*FILES, ROWS}):
        names = sorted(
            str(name)[:80] for name in {*FILES, *digests} if (name in FILES) != (name in digests)
        )
        raise ValueError(
            f"{root / 'manifest.json'} has hashes of other files than an export has ({names}); "
            "download it again, or export the model again"
        )
    for name in sorted(digests):
        try:
            with (root / name).open("rb") as stream:
                found = hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError as error:
            raise ValueError(f"{root / name} cannot be read ({error.strerror})") from error
        if found != digests[name]:
            raise ValueError(f"{root / name} was changed (its SHA-256 differs); download it again")


def read_arrays(root: Path, name: str = "weights.npz") -> dict[str, np.ndarray]:
    """Reads the arrays of an .npz file.

    Raises:
      ValueError: the file is damaged, unpacks to too many bytes, or has non-finite values.
    """
    path = root / name
    try:
        with zipfile.ZipFile(path) as archive:
            sizes = sum(entry.file_size for entry in archive.infolist())
        if sizes > (path.stat().st_size if name in FILES else MAX_ROWS):
            raise ValueError(f"it unpacks to {sizes:,} bytes")
        with np.load(path, allow_pickle=False) as found:
            arrays = {key: found[key] for key in found.files}
        for key, array in arrays.items():
            if name in FILES and not finite(array):
                raise ValueError(f"{key} has values that are not finite numbers")
    except Exception as error:  # zipfile, zlib and NumPy raise many types
        raise ValueError(
            f"{path} is damaged ({type(error).__name__}: {error}); export the model again"
        ) from error
    return arrays


def read_table(root: Path) -> np.ndarray:
    """The puzzle table [R, E], memory-mapped.

    Raises:
      ValueError: the file is damaged.
    """
    path = root / "table.npy"
    try:
        table = np.load(path, mmap_mode="r", allow_pickle=False)
        if not isinstance(table, np.ndarray) or table.ndim != 2 or not len(table):
            raise ValueError("it is not a table")
        for first in range(0, len(table), CHUNK):
            if not finite(table[first : first + CHUNK]):
                raise ValueError("it has values that are not finite numbers")
    except Exception as error:
        raise ValueError(
            f"{path} is damaged ({type(error).__name__}: {error}); export the model again"
        ) from error
    return table


def check_fit(
    root: Path, exported: Any, weights: Any, table: Any, manifest: dict[str, Any]
) -> None:
    """Checks that the program's arguments fit the weights, the table and the manifest.

    Raises:
      ValueError: they do not.
    """
    have = [(array.shape, "float32") for array in jax.tree.leaves(weights)]
    *want, inputs, rows = [(aval.shape, str(aval.dtype)) for aval in exported.in_avals]
    cells, width = int(inputs[0][1]), int(rows[0][1])
    structure = jax.tree.structure(((weights, 0, 0), {}))
    if have != want or exported.in_tree != structure or width != table.shape[1]:
        raise ValueError(
            f"{root / 'program.bin'} belongs to another model than the weights beside it; export "
            "the model again"
        )
    if cells != manifest["cells"]:
        raise ValueError(
            f"{root / 'manifest.json'} has cells {manifest['cells']}, but its program takes "
            f"{cells}; export the model again"
        )


def finite(array: np.ndarray) -> bool:
    """Whether an array is float32, or bfloat16 stored as uint16, and all its values are finite."""
    if array.dtype == np.uint16:  # an exponent of only ones is an infinity or NaN
        return bool(((array & 0x7F80) != 0x7F80).all())
    return array.dtype == np.float32 and bool(np.isfinite(array).all())


def floats(array: np.ndarray) -> np.ndarray:
    """A stored array as float32; bfloat16 is stored as uint16, since .npz has no bfloat16."""
    return array.view(jnp.bfloat16).astype(np.float32) if array.dtype == np.uint16 else array


def tree(arrays: dict[str, Any]) -> dict[str, Any]:
    """Nested dicts from names like "params/network/kernel"."""
    root: dict[str, Any] = {}
    for name, array in arrays.items():
        *groups, last = name.split("/")
        place = root
        for group in groups:
            place = place.setdefault(group, {})
            if not isinstance(place, dict):
                raise ValueError(f"{name} is below an array; export the model again")
        place[last] = array
    return root


def read(manifest: dict[str, Any], puzzle: str) -> np.ndarray:
    """Tokens [S] of a puzzle in one line; ValueError where it is none."""
    separator, canvas = manifest.get("separator"), manifest.get("canvas")
    symbols, cells = manifest["symbols"], manifest["cells"]
    known = {each: token for token, these in enumerate(symbols) for each in these}
    if separator:
        known = {word: token for token, word in enumerate(symbols) if word}
    rows = puzzle.split(canvas["row_end"]) if canvas else [puzzle]
    grid = [row.split() if separator else list(row) for row in rows]
    columns = canvas["columns"] if canvas else cells
    there = [cell for row in grid for cell in row]
    fits = len(grid) * columns <= cells and len({len(row) for row in grid}) == 1
    if not set(there) <= set(known) or not fits or (len(there) != cells and not canvas):
        between = separator or ""
        raise ValueError(f"{puzzle!r} is not {cells} cells out of {between.join(known)!r}")
    found = np.zeros((cells // columns, columns), int)
    found[: len(grid), : len(grid[0])] = [[known[cell] for cell in row] for row in grid]
    return found.reshape(-1)


def write(manifest: dict[str, Any], answer: np.ndarray) -> str:
    """An answer [S] as one line, "?" where a token has no symbol."""
    separator, canvas = manifest.get("separator") or "", manifest.get("canvas")
    symbols, grid = manifest["symbols"], answer.reshape(1, -1)
    if canvas:
        grid = answer.reshape(-1, canvas["columns"])
        inside = np.asarray([bool(these) for these in symbols])[grid]
        # the largest rectangle in the corner that holds symbols alone
        runs = np.logical_and.accumulate(inside, axis=1).sum(axis=1)
        widths = np.minimum.accumulate(runs)
        rows = int((widths * np.arange(1, len(grid) + 1)).argmax()) + 1
        grid = grid[:rows, : widths[rows - 1]]
    texts = [(these if separator else these[:1]) or "?" for these in symbols]
    lines = [separator.join(texts[token] for token in row) for row in grid]
    return (separator + canvas["row_end"] + separator if canvas else "").join(lines)


def main(puzzles: list[str]) -> None:
    """Prints the answer to each puzzle, with the model's confidence."""
    program = load(Path(__file__).parent)
    manifest = program.manifest
    if not puzzles or not manifest["symbols"]:
        raise ValueError("give puzzles of one line each; for ARC, call load() from Python")
    answers, logits = program(np.stack([read(manifest, puzzle) for puzzle in puzzles]))
    for answer, logit in zip(answers[-1], logits[-1], strict=True):
        confidence = 1 / (1 + np.exp(-float(logit)))
        print(f"{write(manifest, answer)}  confidence: {confidence:.1%}")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except ValueError as mistake:
        sys.exit(f"load.py: {mistake}.")
