"""Which of the folders beside each other are sound checkpoints, and what becomes of the others."""

import json
import math
from collections.abc import Mapping
from typing import Any

from etils import epath

from trm_jax.core.errors import UserError
from trm_jax.core.files import writing
from trm_jax.train import hashes
from trm_jax.train.hashes import UnsoundError

MARK = "hashed"
"""Key of a checkpoint's meta which says that it was written with hashes."""
TORN = ".orbax-checkpoint-tmp"
"""In the name of a save that is not finished; on a local disk it is renamed when it is."""
NUMBER = "step"
"""Key of a checkpoint's meta: the number that it was written with, its folder's name."""
SCORE = "exact_accuracy"
"""The score's name on disk, whatever the task's main score is."""
ASIDE = ".damaged"
"""Behind the number of what was no sound checkpoint, once a training has passed over it."""


class DamagedError(UserError):
    """A checkpoint that cannot be read."""


def numbered(directory: epath.Path) -> list[int]:
    """Numbers of all that is called like a checkpoint, sound or not, the oldest first."""
    if not directory.is_dir():
        return []
    names = (path.name for path in directory.iterdir() if _is_committed(path))
    return sorted(int(n) for n in names if n.isascii() and n.isdigit() and n == str(int(n)))


def check(folder: epath.Path, *, contents: bool = True) -> bool:
    """Makes sure that a folder is a checkpoint, and is as it was written.

    Args:
      folder: of one checkpoint.
      contents: see `hashes.check`.

    Returns:
      Whether it has hashes; one of an older version has none, and can only be trusted.

    Raises:
      UnsoundError: says what is wrong with it.
    """
    try:
        if not folder.is_dir():
            raise UnsoundError("it is no directory")
        if not any(folder.iterdir()):
            raise UnsoundError("it is empty")
        if hashes.check(folder, contents=contents):
            _refuse_renamed(folder)
            return True
        if not (folder / "state").is_dir():
            raise UnsoundError(
                "it holds no state, so it is no checkpoint of trm_jax, or half of one"
            )
        if MARK in _meta(folder):
            raise UnsoundError(f"its {hashes.NAME} is missing")
        if (folder / "metrics").exists() and score(folder) is None:
            raise UnsoundError("its metrics/metrics is damaged")
    except OSError as error:
        raise UnsoundError(f"it cannot be read ({error.strerror or error})") from error
    return False


def newest_sound(directory: epath.Path, besides: Mapping[int, str]) -> int | None:
    """The newest that is sound, down to its contents; None where there is none.

    Args:
      directory: of the checkpoints.
      besides: those that are known to be unsound.
    """
    for step in reversed(numbered(directory)):
        if step not in besides and reason(directory, step) is None:
            return step
    return None


def unsound(directory: epath.Path, known: Mapping[int, str]) -> dict[int, str]:
    """Those that are not sound, and why: newer ones than the newest sound by their contents.

    Of the older ones only the names and sizes of files are looked at, which costs nothing; their
    contents are when they are read.

    Args:
      directory: of the checkpoints.
      known: those that are known to be unsound.
    """
    found = {step: why for step, why in known.items() if step in numbered(directory)}
    newest = newest_sound(directory, found)
    for step in numbered(directory):
        newer = newest is None or step > newest
        why = found.get(step) or reason(directory, step, contents=newer)
        if why:
            found[step] = why
    return found


def reason(directory: epath.Path, step: int, *, contents: bool = True) -> str | None:
    """Why a checkpoint is not sound; None where it is."""
    try:
        check(directory / str(step), contents=contents)
    except UnsoundError as error:
        return str(error)
    return None


def held_work(directory: epath.Path, step: int) -> bool:
    """Whether something that is not sound was a checkpoint once."""
    folder = directory / str(step)
    return folder.is_dir() and any(
        (folder / name).exists() for name in (hashes.NAME, "state", "meta")
    )


def set_aside(directory: epath.Path, step: int) -> str:
    """Gives what is no sound checkpoint another name, so that its number is free; returns that.

    Raises:
      UserError: it cannot be renamed.
    """
    folder, name, number = directory / str(step), f"{step}{ASIDE}", 1
    while (directory / name).exists():
        number += 1
        name = f"{step}{ASIDE}{number}"
    with writing(directory / name):
        folder.rename(directory / name)
    return name


def torn(directory: epath.Path) -> list[str]:
    """Names of saves that were cut short; they are never read."""
    if not directory.is_dir():
        return []
    return sorted(path.name for path in directory.iterdir() if TORN in path.name)


def score(folder: epath.Path) -> float | None:
    """What a checkpoint scored; None where that was not measured, or cannot be read."""
    path = folder / "metrics" / "metrics"
    try:
        if not path.exists():
            return None
        found = float(json.loads(path.read_text())[SCORE])
        return found if math.isfinite(found) else None
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None


def _is_committed(path: epath.Path) -> bool:
    """Whether a save is complete: on a local disk it has its name only then."""
    return "://" not in str(path) or (path / "commit_success.txt").exists()


def _refuse_renamed(folder: epath.Path) -> None:
    """Refuses a checkpoint that was copied or renamed to another's number.

    Raises:
      UnsoundError: it was; or its meta cannot be read.
    """
    number = _meta(folder).get(NUMBER)
    if number is not None and str(number) != folder.name:
        raise UnsoundError(f"it is checkpoint {number} under another name")


def _meta(folder: epath.Path) -> Mapping[str, Any]:
    """What was saved beside the state; empty if nothing was.

    Raises:
      UnsoundError: that cannot be read.
    """
    path = folder / "meta" / "metadata"
    try:
        meta = json.loads(path.read_text()) if path.exists() else {}
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise UnsoundError(f"its meta/metadata is damaged ({type(error).__name__})") from error
    if not isinstance(meta, dict):
        raise UnsoundError("its meta/metadata is damaged (it holds no keys)")
    return meta
