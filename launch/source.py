"""Which code a job runs: the commit of this checkout, and whether files differ from it."""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from launch.errors import LaunchError


@dataclass(frozen=True)
class Source:
    """A commit, and whether tracked files were changed since."""

    commit: str
    dirty: bool


def read(root: Path) -> Source:
    """The commit that a checkout stands at.

    Raises:
      LaunchError: the directory is no git checkout, or git is missing.
    """
    commit = _git(root, "rev-parse", "HEAD")
    return Source(commit.strip(), bool(_git(root, "status", "--porcelain", "--untracked-files=no")))


def of(root: Path, wanted: str | None) -> Source:
    """The wanted commit, which a fresh clone has unchanged, or else the checkout's own.

    Raises:
      LaunchError: the wanted commit is not 40 hexadecimal digits.
    """
    if wanted is None:
        return read(root)
    if not re.fullmatch("[0-9a-f]{40}", wanted):
        raise LaunchError(f"code: commit {wanted!r} must be a full one of 40 hexadecimal digits.")
    return Source(wanted, False)


def _git(root: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError) as error:
        raise LaunchError(
            f"{root} is no git checkout, so the job's commit cannot be recorded; run the launcher "
            "from a clone, or write the commit into the job file under `code:`."
        ) from error
    return done.stdout
