"""Which code a job runs: the commit of this checkout, and whether files differ from it."""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .errors import LaunchError


@dataclass(frozen=True)
class Source:
    """A commit, and whether tracked files were changed since.

    Attributes:
      commit: of 40 hexadecimal digits; empty where none is known.
      dirty: whether tracked files differ from it.
    """

    commit: str
    dirty: bool

    def __str__(self) -> str:
        """For people."""
        return (self.commit or "unknown") + (" and uncommitted changes" if self.dirty else "")


UNKNOWN = Source("", dirty=False)
LEFT_OPEN = Source("YOUR-COMMIT", dirty=False)
"""What a render says where machines clone a commit and none is known."""


def read(root: Path) -> Source:
    """The commit that a checkout stands at; UNKNOWN if the folder is not the top of one.

    An installed package may lie somewhere within another checkout, whose commit says nothing here.
    """
    told = _git(root, "rev-parse", "--show-prefix", "HEAD")
    if told is None:
        return UNKNOWN
    within, commit = told.splitlines()
    changes = None if within else _git(root, "status", "--porcelain", "--untracked-files=no")
    return UNKNOWN if changes is None else Source(commit, bool(changes))


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


def _git(root: Path, *arguments: str) -> str | None:
    """What git says, or None if it is missing or fails."""
    try:
        command = ["git", "-C", str(root), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
