"""Finds the sound checkpoints of a directory, and sets damaged ones aside."""

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
"""Key of a checkpoint's meta that shows that it was written with hashes."""
TORN = ".orbax-checkpoint-tmp"
"""Part of the name of an incomplete save; on a local disk it is renamed when complete."""
NUMBER = "step"
"""Key of a checkpoint's meta: the step, which must equal its directory's name."""
SCORE = "exact_accuracy"
"""Name of the score on disk, whatever the task's main score is."""
ASIDE = ".damaged"
"""Suffix of a damaged checkpoint that a training run has set aside."""


class DamagedError(UserError):
    """A checkpoint that cannot be read."""


def numbered(directory: epath.Path) -> list[int]:
    """Steps of all directories named like a checkpoint, sound or not, in ascending order."""
    if not directory.is_dir():
        return []
    names = (path.name for path in directory.iterdir() if _is_committed(path))
    return sorted(int(n) for n in names if n.isascii() and n.isdigit() and n == str(int(n)))


def check(folder: epath.Path, *, contents: bool = True) -> bool:
    """Checks that a directory is a checkpoint and is as it was written.

    Args:
      folder: directory of a checkpoint.
      contents: whether to read large files, see `hashes.check`.

    Returns:
      Whether it has hashes; those of older versions have none and cannot be verified.

    Raises:
      UnsoundError: it is not a sound checkpoint; the message says why.
    """
    try:
        if not folder.is_dir():
            raise UnsoundError("it is not a directory")
        if not any(folder.iterdir()):
            raise UnsoundError("it is empty")
        if hashes.check(folder, contents=contents):
            _refuse_renamed(folder)
            return True
        if not (folder / "state").is_dir():
            raise UnsoundError(
                "it holds no state, so it is not a checkpoint of trm_jax, or an incomplete one"
            )
        if MARK in _meta(folder):
            raise UnsoundError(f"its {hashes.NAME} is missing")
        if (folder / "metrics").exists() and score(folder) is None:
            raise UnsoundError("its metrics/metrics is damaged")
    except OSError as error:
        raise UnsoundError(f"it cannot be read ({error.strerror or error})") from error
    return False


def newest_sound(directory: epath.Path, besides: Mapping[int, str]) -> int | None:
    """Step of the newest checkpoint that is sound, with contents checked; None if there is none.

    Args:
      directory: directory of the checkpoints.
      besides: steps that are known to be unsound.
    """
    for step in reversed(numbered(directory)):
        if step not in besides and reason(directory, step) is None:
            return step
    return None


def unsound(directory: epath.Path, known: Mapping[int, str]) -> dict[int, str]:
    """Unsound checkpoints and the reasons.

    Contents are checked of checkpoints newer than the newest sound one. Of older ones only names
    and sizes of files are checked, which is fast; their contents are checked when they are read.

    Args:
      directory: directory of the checkpoints.
      known: steps that are known to be unsound, with reasons.
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
    """Why a checkpoint is not sound; None if it is."""
    try:
        check(directory / str(step), contents=contents)
    except UnsoundError as error:
        return str(error)
    return None


def held_work(directory: epath.Path, step: int) -> bool:
    """Whether an unsound directory was once a checkpoint."""
    folder = directory / str(step)
    return folder.is_dir() and any(
        (folder / name).exists() for name in (hashes.NAME, "state", "meta")
    )


def set_aside(directory: epath.Path, step: int) -> str:
    """Renames an unsound checkpoint, so that its step can be saved again; returns the new name.

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
    """Names of incomplete saves, which are never read."""
    if not directory.is_dir():
        return []
    return sorted(path.name for path in directory.iterdir() if TORN in path.name)


def score(folder: epath.Path) -> float | None:
    """Score of a checkpoint; None if it was not evaluated, or the score cannot be read."""
    path = folder / "metrics" / "metrics"
    try:
        if not path.exists():
            return None
        found = float(json.loads(path.read_text())[SCORE])
        return found if math.isfinite(found) else None
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None


def _is_committed(path: epath.Path) -> bool:
    """Whether a save is complete; on a local disk only complete ones have their final name."""
    return "://" not in str(path) or (path / "commit_success.txt").exists()


def _refuse_renamed(folder: epath.Path) -> None:
    """Refuses a checkpoint that was copied or renamed to another step.

    Raises:
      UnsoundError: its name does not match its meta, or the meta cannot be read.
    """
    number = _meta(folder).get(NUMBER)
    if number is not None and str(number) != folder.name:
        raise UnsoundError(f"it is checkpoint {number} under another name")


def _meta(folder: epath.Path) -> Mapping[str, Any]:
    """Reads the plain data saved with a checkpoint's state; empty if there is none.

    Raises:
      UnsoundError: the data cannot be read.
    """
    path = folder / "meta" / "metadata"
    try:
        meta = json.loads(path.read_text()) if path.exists() else {}
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise UnsoundError(f"its meta/metadata is damaged ({type(error).__name__})") from error
    if not isinstance(meta, dict):
        raise UnsoundError("its meta/metadata is damaged (it holds no keys)")
    return meta
