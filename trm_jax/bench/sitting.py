"""A sitting: some minutes on a device, in which one step after the other is done and kept."""

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
"""Seconds to wait for what an earlier sitting left running."""


FOOTER = "For simplicity, JAX has removed its internal frames"
"""How the line begins that JAX puts, below dashes, at the end of a traceback."""


class StepError(Exception):
    """A step that came to nothing; the message says why."""


class OutOfTimeError(StepError):
    """It was cut short by the end of its time, which says nothing about it."""


@dataclasses.dataclass(frozen=True)
class Sitting:
    """Where and until when everything is done.

    Attributes:
      out: folder of what is kept: results, a table, the training's weights and logs.
      work: folder of all else: logs of each command, the training's work directory.
      ledger: the results.
      children: the commands that run.
      end: of the sitting, by `time.monotonic`.
    """

    out: Path
    work: Path
    ledger: Ledger
    children: Children
    end: float

    @property
    def turns(self) -> str:
        """The file on which those that compile and those that are timed take turns."""
        return str(self.work / "turns")

    @property
    def run(self) -> Path:
        """Work directory of the training."""
        return self.work / "run"

    def left(self, until: float | None = None) -> float:
        """Seconds until then, or the end of the sitting."""
        return (self.end if until is None else until) - time.monotonic()

    def trm(self, name: str, arguments: Sequence[str], until: float, **more: Any) -> dict[str, Any]:
        """Runs a `trm` command to its end and gives the JSON object in its last line.

        Args:
          name: of its log.
          arguments: after `trm`.
          until: when it is ended, by `time.monotonic`.
          more: for `Children.run`.

        Raises:
          StepError: it failed.
          OutOfTimeError: its time was up.
        """
        return self.command(name, [sys.executable, "-m", "trm_jax", *arguments], until, **more)

    def command(
        self, name: str, command: Sequence[str], until: float, **more: Any
    ) -> dict[str, Any]:
        """The same for any command."""
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
            raise StepError(f"its last line is no JSON object: {last_line(out)}") from error
        return found

    def log(self, name: str, kind: str = "log") -> Path:
        """Where a command's errors go, or its output."""
        return self.work / f"{name.replace('/', '.')}.{kind}"


@contextlib.contextmanager
def opened(out: Path, work: Path, root: Path, seconds: float) -> Iterator[Sitting]:
    """A sitting from now on; nothing that it has started outlives it.

    Args:
      out: see `Sitting`.
      work: see `Sitting`.
      root: where commands run.
      seconds: that it may take.

    Raises:
      UserError: another sitting is at it in the same folder.
    """
    end = time.monotonic() + seconds
    out.mkdir(parents=True, exist_ok=True)
    work.mkdir(parents=True, exist_ok=True)
    with open(work / "lock", "a") as lock:
        _take(lock.fileno(), work)
        ledger = Ledger(out / "results.jsonl")
        with Children(root, [lock.fileno()]) as children:
            yield Sitting(out, work, ledger, children, end)


def _take(lock: int, work: Path) -> None:
    """Takes the lock, which also the commands hold that a killed sitting has left running."""
    give_up, told = time.monotonic() + OTHERS, False
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError as error:
            if time.monotonic() > give_up:
                raise UserError(
                    f"Another sitting is at work in {work}; wait for it, or give another --work."
                ) from error
        if not told:
            say(f"waiting for what an earlier sitting has left running in {work}")
            told = True
        time.sleep(0.2)


def last_line(path: Path) -> str:
    """The last line of a file that says something, as JAX's footer of tracebacks does not."""
    text = path.read_text(errors="replace") if path.exists() else ""
    lines = (line.strip() for line in reversed(text.splitlines()))
    said = (line for line in lines if line.strip("-") and not line.startswith(FOOTER))
    return next(said, "no output")


def with_flags(flags: str, **others: str) -> Mapping[str, str]:
    """Changes of the environment: flags added to those that XLA has, and others."""
    before = os.environ.get("XLA_FLAGS", "")
    return {"XLA_FLAGS": f"{before} {flags}".strip(), **others} if flags else others


def say(line: str) -> None:
    """Prints a line with the time of day, at once."""
    print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)
