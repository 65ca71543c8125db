"""The code that a job runs: the commit of this checkout, and whether files differ from it."""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .errors import LaunchError


@dataclass(frozen=True)
class Source:
    """A commit, and whether the checkout differs from it.

    Attributes:
      commit: 40 hexadecimal digits; empty if unknown.
      dirty: whether tracked files differ from the commit.
    """

    commit: str
    dirty: bool

    def __str__(self) -> str:
        """A readable form of the commit."""
        return (self.commit or "unknown") + (" and uncommitted changes" if self.dirty else "")


UNKNOWN = Source("", dirty=False)
LEFT_OPEN = Source("YOUR-COMMIT", dirty=False)
"""A placeholder for an unknown commit that machines would clone."""


def read(root: Path) -> Source:
    """The commit of a checkout; UNKNOWN if the folder is not the top of one.

    An installed package may be inside another project's checkout, whose commit is not this code's.
    """
    told = _git(root, "rev-parse", "--show-prefix", "HEAD")
    if told is None:
        return UNKNOWN
    within, commit = told.splitlines()
    changes = None if within else _git(root, "status", "--porcelain", "--untracked-files=no")
    return UNKNOWN if changes is None else Source(commit, bool(changes))


def of(root: Path, wanted: str | None) -> Source:
    """The given commit, or that of the checkout if none is given.

    Raises:
      LaunchError: the given commit is not 40 hexadecimal digits.
    """
    if wanted is None:
        return read(root)
    if not re.fullmatch("[0-9a-f]{40}", wanted):
        raise LaunchError(f"code: commit {wanted!r} must be a full one of 40 hexadecimal digits.")
    return Source(wanted, False)


def _git(root: Path, *arguments: str) -> str | None:
    """The output of git; None if git is not installed or fails."""
    try:
        command = ["git", "-C", str(root), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
