"""The local folder of a job, with its files, logs and state, and the commands run for it."""

import fcntl
import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from . import places
from .errors import LaunchError

PATIENCE = 300.0
"""Seconds after which a command counts as hung; `gcloud` may take minutes for many hosts."""


MARK = re.compile("@([A-Z]+)@")


class Done(NamedTuple):
    """The result of a command; `code` is None if it ran into the time limit."""

    code: int | None
    out: str
    err: str

    @property
    def ok(self) -> bool:
        """Whether the command succeeded; only then is its output meaningful."""
        return self.code == 0

    @property
    def reason(self) -> str:
        """Why the command failed, in one line."""
        lines = [line.strip() for line in self.err.splitlines() if line.strip()]
        # gcloud prints the cause after "ERROR:", and hints at other commands below it
        causes = [line for line in lines if line.startswith(("ERROR", "error", "Error"))]
        return (causes or lines[-1:] or [f"exit code {self.code}"])[0]


@dataclass
class Desk:
    """A job's local folder, and the way commands are run.

    Attributes:
      folder: folder of the rendered files, the logs and the launcher's state.
      every: seconds between two checks of a state.
      patience: seconds after which a command counts as hung.
    """

    folder: Path
    every: float = 30.0
    patience: float = PATIENCE

    def say(self, text: str) -> None:
        """Prints a line with the time of day."""
        print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)

    def run(self, command: Sequence[str], quiet: bool = False, stdin: str | None = None) -> Done:
        """Runs a command to its end.

        Args:
          command: the command.
          quiet: whether to not print it; for commands that only read.
          stdin: text for its standard input.

        Raises:
          LaunchError: the program is not installed.
        """
        if not quiet:
            self.say(f"$ {shlex.join(command)}")
        try:
            done = subprocess.run(
                command,
                input=stdin if stdin is not None else "",
                capture_output=True,
                text=True,
                timeout=self.patience,
            )
        except subprocess.TimeoutExpired:
            return Done(None, "", f"no answer from `{command[0]}` within {self.patience:.0f} s")
        except FileNotFoundError as error:
            raise LaunchError(
                f"`{command[0]}` is not installed or not on PATH; this engine needs it."
            ) from error
        return Done(done.returncode, done.stdout, done.stderr)

    def show(self, command: Sequence[str]) -> int:
        """Runs a command whose output is for the user, and returns its exit code."""
        self.say(f"$ {shlex.join(command)}")
        try:
            return subprocess.run(command).returncode
        except FileNotFoundError as error:
            raise LaunchError(f"`{command[0]}` is not installed or not on PATH.") from error
        except KeyboardInterrupt:  # the usual way to end `logs`
            return 0

    def write(self, files: Mapping[str, str]) -> None:
        """Writes rendered files into the folder."""
        for name, text in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            path.chmod(0o755 if name.endswith(".sh") else 0o644)

    def recall(self) -> dict[str, Any]:
        """The state that the launcher recorded for the job; empty at first.

        Raises:
          LaunchError: the state file exists but cannot be read.
        """
        path = self.folder / "state.json"
        try:
            return json.loads(path.read_text()) if path.exists() else {}
        except (OSError, ValueError) as error:
            raise LaunchError(
                f"{path} cannot be read; check with `status` what runs, then remove the file."
            ) from error

    def remember(self, **facts: Any) -> None:
        """Adds to the recorded state; the file is replaced atomically."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "state.json"
        part = path.with_suffix(".part")
        part.write_text(json.dumps({**self.recall(), **facts}, indent=1))
        os.replace(part, path)

    @contextmanager
    def only_one(self) -> Iterator[None]:
        """Locks the job within the block, since two launchers would start it twice.

        Raises:
          LaunchError: another launcher has locked it.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise LaunchError(
                    f"another launcher is running this job ({self.folder}); stop that one first, "
                    "or follow it with `logs`."
                ) from error
            yield

    def held(self) -> bool:
        """Whether a launcher has locked the job."""
        if not (self.folder / "lock").exists():
            return False
        try:
            with self.only_one():
                return False
        except LaunchError:
            return True


def fill(name: str, **values: str) -> str:
    """A shell script of scripts/ with its @NAMES@ replaced.

    Raises:
      KeyError: the script has a @NAME@ that is not given.
    """
    lines = (places.SCRIPTS / name).read_text().splitlines()
    out = []
    for line in lines:
        if line.strip().startswith("@") and line.strip().endswith("@"):
            text = values[line.strip().strip("@")]
            out += [text] if text else []
            continue
        # in one pass, so that values may contain such words themselves
        out.append(MARK.sub(lambda found: values.get(found[1], found[0]), line))
    return "\n".join(out) + "\n"


def exports(environment: Mapping[str, str]) -> str:
    """Shell lines that export environment variables."""
    return "\n".join(f"export {key}={shlex.quote(value)}" for key, value in environment.items())


def error(text: str) -> None:
    """Prints a line on standard error."""
    print(f"launch: {text}", file=sys.stderr, flush=True)
