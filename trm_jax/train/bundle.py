"""Named arrays in .npz files of a limited size, and an index file with their hashes.

The index is JSON and contains a hash of itself. It is written last, so that it never lists files
that are incomplete.
"""

import hashlib
import io
import json
import re
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
from etils import epath
from numpy.typing import NDArray

from trm_jax.core.errors import UserError
from trm_jax.core.files import write_whole

PART_BYTES = 16_000_000
"""Max bytes of a part."""
ENTRY_BYTES = 1024
"""Max bytes of the headers of an array and of its file in an .npz, without its name."""

HASH = "sha256"
"""Key of the hash of all other content of the index file."""
DIGEST = re.compile(r"[0-9a-f]{64}")
PART_NAME = re.compile(r"[^/\\\0]+\.npz")
"""Pattern of a part's file name, which must be in the index file's directory."""

Arrays = Mapping[str, NDArray[Any]]


def cut(sizes: Mapping[str, int], itemsizes: Mapping[str, int]) -> list[dict[str, slice]]:
    """Distributes arrays over parts; an array that does not fit into one continues in the next.

    Args:
      sizes: number of elements of each array.
      itemsizes: bytes per element of each array.

    Returns:
      For each part the slice of each array, in C order, that it holds.
    """
    parts: list[dict[str, slice]] = [{}]
    room = PART_BYTES - ENTRY_BYTES
    for name, size in sizes.items():
        start = 0
        while True:
            room -= ENTRY_BYTES + 2 * len(name)
            count = min(size - start, max(room, 0) // itemsizes[name])
            if count or not size:
                parts[-1][name] = slice(start, start + count)
                start += count
                room -= count * itemsizes[name]
            if start == size:
                break
            parts.append({})
            room = PART_BYTES - ENTRY_BYTES
    return parts


def write(path: epath.Path, arrays: Arrays, about: Mapping[str, Any]) -> list[int]:
    """Writes arrays into parts beside `path`, then the index file `path`, which lists them.

    Parts of an earlier call are deleted only when the new ones are complete, so that `path` is
    consistent at any time.

    Args:
      path: path of the index file.
      arrays: arrays of any shape, of NumPy's own dtypes.
      about: further content of the index file, plain data.

    Returns:
      Size of each part in bytes.

    Raises:
      UserError: a file cannot be written.
    """
    flat = {name: np.ascontiguousarray(array).reshape(-1) for name, array in arrays.items()}
    shares = cut(
        {name: array.size for name, array in flat.items()},
        {name: array.itemsize for name, array in flat.items()},
    )
    sizes, entries = [], []
    for number, share in enumerate(shares):
        buffer = io.BytesIO()
        pieces = {name: flat[name][piece] for name, piece in share.items()}
        np.savez(buffer, allow_pickle=False, **pieces)
        content = buffer.getvalue()
        sha256 = hashlib.sha256(content).hexdigest()
        file = f"{path.name}.{number:03d}-{sha256[:8]}.npz"
        write_whole(path.parent / file, content)
        sizes.append(len(content))
        entries.append({"file": file, "bytes": len(content), "sha256": sha256})
    record = json.loads(json.dumps({**about, "parts": entries}))
    write_whole(path, json.dumps({**record, HASH: digest(record)}, indent=1) + "\n")
    _tidy(path, {str(entry["file"]) for entry in entries})
    return sizes


def digest(record: Mapping[str, Any]) -> str:
    """Hash of an index file's content, without the hash in it."""
    rest = {key: value for key, value in record.items() if key != HASH}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def check(record: Mapping[str, Any]) -> None:
    """Checks the hash of an index file's content, and its list of parts.

    Raises:
      ValueError: the content was changed, or the list is invalid.
    """
    if record.get(HASH) != digest(record):
        raise ValueError("its SHA-256 does not match its content")
    parts = record.get("parts")
    if not isinstance(parts, list) or not parts:
        raise ValueError("it lists no parts")
    for entry in parts:
        kinds = {"file": str, "bytes": int, "sha256": str}
        if not isinstance(entry, Mapping) or any(
            not isinstance(entry.get(key), kind) for key, kind in kinds.items()
        ):
            raise ValueError(f"a part is listed as {entry!r}")
        if not DIGEST.fullmatch(entry["sha256"]) or isinstance(entry["bytes"], bool):
            raise ValueError(f"a part is listed as {entry!r}")
        if not PART_NAME.fullmatch(entry["file"]):
            raise ValueError(f"a part is called {entry['file']!r}")
    if len({entry["file"] for entry in parts}) < len(parts):
        raise ValueError("it lists a part twice")


def read(path: epath.Path, parts: list[dict[str, Any]]) -> dict[str, NDArray[Any]]:
    """Reads the arrays, flattened, from their parts.

    Args:
      path: path of the index file.
      parts: list of parts from the index file, see `check`.

    Raises:
      UserError: a part is missing, cannot be read, or was changed.
    """
    pieces: dict[str, list[NDArray[Any]]] = {}
    for entry in parts:
        try:
            content = _content(path, entry)
            with zipfile.ZipFile(io.BytesIO(content)) as packed:
                if sum(each.file_size for each in packed.infolist()) > len(content):
                    raise ValueError("its content is larger than the file")
            with np.load(io.BytesIO(content), allow_pickle=False) as part:
                for name in part.files:
                    found = pieces.setdefault(name, [])
                    found.append(part[name].reshape(-1))
                    if found[-1].dtype != found[0].dtype:
                        raise ValueError(f"its {name} has another dtype than in the part before")
        except UserError:
            raise
        except Exception as error:  # zipfile, zlib, NumPy and the disk raise many types
            raise UserError(
                f"{path.parent / entry['file']}, a part of {path}, cannot be read "
                f"({type(error).__name__}: {error}); copy it again."
            ) from error
    return {name: np.concatenate(found) for name, found in pieces.items()}


def _content(path: epath.Path, entry: Mapping[str, Any]) -> bytes:
    """Content of a part, verified against its size and hash."""
    file = path.parent / entry["file"]
    if not file.exists():
        raise UserError(f"{file} is missing, a part of {path}; copy it there too.")
    if not file.is_dir() and file.stat().length != entry["bytes"]:
        raise UserError(
            f"{file} has {file.stat().length:,} bytes and {path} lists it with {entry['bytes']:,}; "
            "copy it again."
        )
    content: bytes = file.read_bytes()
    if hashlib.sha256(content).hexdigest() != entry["sha256"]:
        raise UserError(
            f"{file} is not the part that {path} lists (its SHA-256 differs); copy it again."
        )
    return content


def _tidy(path: epath.Path, keep: set[str]) -> None:
    """Deletes parts of earlier or interrupted calls of `write` for this path."""
    ours = re.compile(re.escape(path.name) + r"\.\d{3,}-[0-9a-f]{8}\.npz")
    for file in list(path.parent.iterdir()):
        if ours.fullmatch(file.name) and file.name not in keep:
            file.unlink(missing_ok=True)
