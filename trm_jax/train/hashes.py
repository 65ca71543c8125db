"""Directories with a file of the size and SHA-256 of every other file.

A directory is hashed before it is renamed into place, so that only directories of older versions of
trm_jax have no hashes.
"""

import concurrent.futures
import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from etils import epath

from trm_jax.core.files import write_whole

NAME = "hashes.json"
FORMAT = 1
LATER = ("_CHECKPOINT_METADATA", "commit_success.txt")
"""Files at the top of a checkpoint that Orbax writes when it commits; they hold no weights."""
CHUNK = 1 << 22
SMALL = 1 << 16
"""Max bytes of a file that is always read, even when only sizes are checked."""
THREADS = 4
"""Number of files that are hashed in parallel; hashing releases Python's lock."""


class UnsoundError(Exception):
    """A directory is not as it was written; the message continues a sentence about it."""


def write(folder: epath.Path) -> None:
    """Hashes every file of a directory and writes the hashes into it, atomically.

    Raises:
      UserError, OSError: a file cannot be read or the hashes cannot be written.
    """
    names = sorted(name for name in _files(folder) if _vouched(name))
    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        found = list(pool.map(lambda name: _measured(folder / name), names))
    files = {
        n: {"bytes": size, "sha256": digest} for n, (size, digest) in zip(names, found, strict=True)
    }
    write_whole(folder / NAME, json.dumps({"format": FORMAT, "files": files}, indent=1) + "\n")


def read(folder: epath.Path) -> Mapping[str, Mapping[str, Any]] | None:
    """Reads the hashes: `bytes` and `sha256` of each file; None if the directory has none.

    Raises:
      UnsoundError: the file of hashes is damaged.
    """
    path = folder / NAME
    try:
        if not path.exists():
            return None
        record = json.loads(path.read_text())
        files: dict[str, Any] = record["files"]
        for name, about in files.items():
            parts = PurePosixPath(name).parts
            if not parts or parts[0] == "/" or {"..", "."} & set(parts) or "\\" in name:
                raise ValueError(f"it lists {name!r}")
            if type(about["bytes"]) is not int or not isinstance(about["sha256"], str):
                raise ValueError(f"it lists {name!r} as {about!r}")
        if record["format"] != FORMAT or not files:
            raise ValueError(f"it is of format {record['format']!r} and lists {len(files)} files")
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise UnsoundError(f"its {NAME} is damaged ({reason})") from error
    return files


def check(folder: epath.Path, *, contents: bool = True) -> bool:
    """Checks the files of a directory against its hashes; returns whether it has hashes.

    Args:
      folder: a local directory or one in a bucket.
      contents: whether to read large files; otherwise only their sizes are checked, which is fast.

    Raises:
      UnsoundError: a file is missing or was changed; the message names the first one.
    """
    files = read(folder)
    if files is None:
        return False

    def look(name: str) -> None:
        path, about = folder / name, files[name]
        try:
            if not path.exists():
                raise UnsoundError(f"its {name} is missing")
            large = about["bytes"] > SMALL
            size, digest = path.stat().length, about["sha256"]
            if contents or not large:
                size, digest = _measured(path)
        except OSError as error:
            raise UnsoundError(f"its {name} cannot be read ({error.strerror or error})") from error
        if size != about["bytes"]:
            raise UnsoundError(
                f"its {name} has {size:,} bytes and was written with {about['bytes']:,}"
            )
        if digest != about["sha256"]:
            raise UnsoundError(f"its {name} is not as it was written (its SHA-256 differs)")

    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(look, files))
    return True


def _vouched(name: str) -> bool:
    return name not in (NAME, *LATER) and not name.startswith(f"{NAME}.")


def _files(folder: epath.Path, above: str = "") -> Iterator[str]:
    """Relative names of all files below a directory, with slashes."""
    for path in folder.iterdir():
        name = above + path.name
        if path.is_dir():
            yield from _files(path, f"{name}/")
        else:
            yield name


def _measured(path: epath.Path) -> tuple[int, str]:
    """Size in bytes and SHA-256 of a file, which may be larger than memory."""
    size, digest = 0, hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            size += len(chunk)
            digest.update(chunk)
    return size, digest.hexdigest()
