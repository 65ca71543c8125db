"""Named arrays in files of a limited size, beside one file that vouches for them.

The one file is JSON and lists the others, which are NumPy's .npz without pickle. It is written
last, so that it never vouches for what is not there.
"""

import hashlib
import io
import json
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from etils import epath
from numpy.typing import NDArray

from trm_jax.core.errors import UserError
from trm_jax.core.files import write_whole

PART_BYTES = 16_000_000
"""No part is larger."""
ENTRY_BYTES = 1024
"""What the headers of an array, and of its file within an .npz, take at most, besides its name."""

Arrays = Mapping[str, NDArray[Any]]


def cut(sizes: Mapping[str, int], itemsizes: Mapping[str, int]) -> list[dict[str, slice]]:
    """Shares arrays out to parts; what does not fit into one goes on in the next.

    Args:
      sizes: number of elements of each array.
      itemsizes: bytes of an element of each.

    Returns:
      For each part the elements of each array, counted in C order, that are in it.
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
    """Writes arrays into parts beside `path`, and then `path` itself, which lists them.

    What an earlier call wrote there is taken away only when the new is whole; at every moment
    `path` lists what it was written with.

    Args:
      path: of the one file.
      arrays: of any shape and of types that NumPy has itself.
      about: plain data for the one file; `parts` is added to it.

    Returns:
      Bytes of each part.

    Raises:
      UserError: it cannot be written.
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
        digest = hashlib.sha256(content).hexdigest()
        file = f"{path.name}.{number:03d}-{digest[:8]}.npz"
        write_whole(path.parent / file, content)
        sizes.append(len(content))
        entries.append({"file": file, "bytes": len(content), "sha256": digest})
    write_whole(path, json.dumps({**about, "parts": entries}, indent=1) + "\n")
    _tidy(path, {str(entry["file"]) for entry in entries})
    return sizes


def read(path: epath.Path, parts: list[dict[str, Any]]) -> dict[str, NDArray[Any]]:
    """Reads the arrays, each [size], out of their parts.

    Args:
      path: of the one file.
      parts: as it lists them.

    Raises:
      UserError: a part is missing, or is not the one that was written.
    """
    pieces: dict[str, list[NDArray[Any]]] = {}
    for entry in parts:
        with np.load(io.BytesIO(_content(path, entry)), allow_pickle=False) as part:
            for name in part.files:
                pieces.setdefault(name, []).append(part[name])
    return {name: np.concatenate(found) for name, found in pieces.items()}


def _content(path: epath.Path, entry: Mapping[str, Any]) -> bytes:
    """The bytes of a part, which are those that were written."""
    file = path.parent / entry["file"]
    if not file.exists():
        raise UserError(f"{file} is missing, a part of {path}; copy it there as well.")
    content: bytes = file.read_bytes()
    if len(content) != entry["bytes"]:
        raise UserError(
            f"{file} has {len(content):,} bytes and {path} lists it with {entry['bytes']:,}; "
            "copy it once more."
        )
    if hashlib.sha256(content).hexdigest() != entry["sha256"]:
        raise UserError(
            f"{file} is not the part that {path} lists (its SHA-256 differs); copy it once more."
        )
    return content


def _tidy(path: epath.Path, keep: set[str]) -> None:
    """Removes other parts that `write` has written for this path, or has begun to."""
    ours = re.compile(re.escape(path.name) + r"\.\d{3,}-[0-9a-f]{8}\.npz")
    for file in list(path.parent.iterdir()):
        if ours.fullmatch(file.name) and file.name not in keep:
            file.unlink(missing_ok=True)
