"""A benchmark session: limited time on a device, in which steps are run and their results kept."""

import contextlib
import dataclasses
import fcntl
import json
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from trm_jax.bench.children import Children
from trm_jax.bench.ledger import Ledger
from trm_jax.core.errors import UserError

OTHERS = 60.0
"""Seconds to wait for commands that an earlier session left running."""


FOOTER = "For simplicity, JAX has removed its internal frames"
"""Start of the line that JAX prints, below dashes, at the end of a traceback."""


class StepError(Exception):
    """A step failed; the message gives the reason."""


class OutOfTimeError(StepError):
    """A step was stopped because its time was up; it did not fail."""


@dataclasses.dataclass(frozen=True)
class Session:
    """The folders, results and time limit of a session.

    Attributes:
      out: folder of the output: results, a table, the weights and logs of training.
      work: folder of everything else: logs of each command, the run's work directory.
      ledger: the results.
      children: the running commands.
      end: end of the session, by `time.monotonic`.
    """

    out: Path
    work: Path
    ledger: Ledger
    children: Children
    end: float

    @property
    def turns(self) -> str:
        """Path of the lock file with which processes take turns on the device."""
        return str(self.work / "turns")

    @property
    def run(self) -> Path:
        """Work directory of the training run."""
        return self.work / "run"

    def left(self, until: float | None = None) -> float:
        """Seconds left until a time of `time.monotonic`, by default the end of the session."""
        return (self.end if until is None else until) - time.monotonic()

    def trm(self, name: str, arguments: Sequence[str], until: float, **more: Any) -> dict[str, Any]:
        """Runs a `trm` command, and returns the JSON object in its last line.

        Args:
          name: name of its log.
          arguments: arguments after `trm`.
          until: time at which it is ended, by `time.monotonic`.
          **more: arguments of `Children.run`.

        Raises:
          StepError: the command failed.
          OutOfTimeError: its time was up.
        """
        return self.command(name, [sys.executable, "-m", "trm_jax", *arguments], until, **more)

    def command(
        self, name: str, command: Sequence[str], until: float, **more: Any
    ) -> dict[str, Any]:
        """Runs a command, and returns the JSON object in its last line; see `trm`."""
        out, log = self.log(name, "out"), self.log(name)
        code = self.children.run(command, out, log, self.left(until), **more)
        if code:
            killed = code in (-signal.SIGTERM, -signal.SIGKILL)
            if killed and (self.children.ending or self.left(until) <= 0):
                raise OutOfTimeError("its time was up")
            raise StepError(f"exit code {code}: {last_line(log)}")
        try:
            found: dict[str, Any] = json.loads(last_line(out))
        except ValueError as error:
            raise StepError(f"its last line is not a JSON object: {last_line(out)}") from error
        return found

    def log(self, name: str, kind: str = "log") -> Path:
        """Path of the file for a command's errors ("log") or output ("out")."""
        return self.work / f"{name.replace('/', '.')}.{kind}"


@contextlib.contextmanager
def opened(out: Path, work: Path, root: Path, seconds: float) -> Iterator[Session]:
    """Starts a session; all its commands are ended with it.

    Args:
      out: see `Session`.
      work: see `Session`.
      root: working directory of the commands.
      seconds: time limit of the session.

    Raises:
      UserError: another session is using the same folder.
    """
    end = time.monotonic() + seconds
    out.mkdir(parents=True, exist_ok=True)
    work.mkdir(parents=True, exist_ok=True)
    with open(work / "lock", "a") as lock:
        _take(lock.fileno(), work)
        ledger = Ledger(out / "results.jsonl")
        with Children(root, [lock.fileno()]) as children:
            yield Session(out, work, ledger, children, end)


def _take(lock: int, work: Path) -> None:
    """Acquires the lock, which is also held by commands that a killed session left running."""
    give_up, told = time.monotonic() + OTHERS, False
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError as error:
            if time.monotonic() > give_up:
                raise UserError(
                    f"Another session is using {work}; wait for it, or give another --work."
                ) from error
        if not told:
            say(f"waiting for commands that an earlier session left running in {work}")
            told = True
        time.sleep(0.2)


def last_line(path: Path) -> str:
    """The last line of a file that is neither empty nor part of JAX's footer of tracebacks."""
    text = path.read_text(errors="replace") if path.exists() else ""
    lines = (line.strip() for line in reversed(text.splitlines()))
    said = (line for line in lines if line.strip("-") and not line.startswith(FOOTER))
    return next(said, "no output")


def with_flags(flags: str, **others: str) -> Mapping[str, str]:
    """Changes of the environment: `flags` appended to XLA_FLAGS, and other variables."""
    before = os.environ.get("XLA_FLAGS", "")
    return {"XLA_FLAGS": f"{before} {flags}".strip(), **others} if flags else others


def say(line: str) -> None:
    """Prints a line with the time of day, unbuffered."""
    print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)
