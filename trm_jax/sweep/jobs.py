"""Runs the processes of a sweep: one per run, with a log file, a given number at the same time."""

import dataclasses
import fcntl
import os
import shlex
import subprocess
import time
from collections import deque
from collections.abc import Sequence

from etils import epath

from trm_jax.core.errors import EXIT_DONE, EXIT_RESTART_ME
from trm_jax.core.signals import StopSignals
from trm_jax.sweep.runs import SweepRun

LOG = "log.txt"
LOOK_EVERY = 0.1  # seconds
TAIL = 4096  # bytes


@dataclasses.dataclass(frozen=True)
class Failure:
    """A failed run: its name, the reason, and the last line of its log."""

    name: str
    reason: str
    last_line: str


@dataclasses.dataclass
class _Job:
    run: SweepRun
    command: tuple[str, ...]
    process: subprocess.Popen[bytes]
    start: float
    stops_sent: int = 0


def run_all(runs: Sequence[SweepRun], at_once: int, stop: StopSignals) -> list[Failure]:
    """Runs all runs to their end, or to a checkpoint if a stop is requested.

    A run that exits with EXIT_RESTART_ME is started again; if one fails, the others continue. The
    first stop signal lets the processes save a checkpoint, the second one kills them.

    Args:
      runs: runs that are not finished.
      at_once: maximum number of processes at the same time.
      stop: stop signals, which are polled.

    Returns:
      The failed runs.
    """
    waiting, active, failures = deque(runs), list[_Job](), list[Failure]()
    while active or (waiting and not stop.count):
        while waiting and len(active) < at_once and not stop.count:
            run = waiting.popleft()
            job = _start(run)
            if isinstance(job, Failure):
                failures.append(job)
            elif job:
                active.append(job)
        time.sleep(LOOK_EVERY)
        for job in list(active):
            _pass_on(stop, job)
            if job.process.poll() is not None:
                active.remove(job)
                failure, again = _ended(job, stopping=bool(stop.count))
                failures += [failure] if failure else []
                waiting.extendleft([job.run] if again else [])
    return failures


def _start(run: SweepRun) -> _Job | Failure | None:
    """Starts the command that the run needs next; None if it needs none."""
    command = run.needs()
    if command is None:
        return None
    path = _log(run)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as log:
        try:
            # The lock belongs to the open file, so the child holds it until it exits, even if the
            # sweep is killed: there are never two processes in one work directory.
            fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return _failed(run, "another process works on it", "wait for it, or stop it")
        log.write(f"$ {shlex.join(command)}\n".encode())
        log.flush()
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
            # Ctrl-C reaches only the sweep, which passes it on
            start_new_session=True,
        )
    say(f"{run.name}: {_doing(command)}, log in {path}")
    return _Job(run, command, process, time.monotonic())


def _pass_on(stop: StopSignals, job: _Job) -> None:
    """Passes a stop on to the process; the second one kills it."""
    if stop.count > job.stops_sent:
        job.stops_sent = stop.count
        if stop.count == 1:
            say(f"{job.run.name}: saving a checkpoint; another Ctrl-C kills it")
            job.process.terminate()
        else:
            job.process.kill()


def _ended(job: _Job, stopping: bool) -> tuple[Failure | None, bool]:
    """Evaluates an ended process: the failure or None, and whether to continue the run."""
    run, code = job.run, job.process.returncode
    seconds = f"{time.monotonic() - job.start:.0f} s"
    if code == EXIT_DONE and run.needs() != job.command:
        say(f"{run.name}: {_doing(job.command)} ended after {seconds}: {_last_line(run)}")
        return None, not stopping
    if code == EXIT_RESTART_ME or (stopping and code < 0):
        say(f"{run.name}: stopped after {seconds}, at checkpoint {run.latest()}")
        return None, not stopping
    if code == EXIT_DONE:
        return _failed(run, "ended without finishing", _last_line(run)), False
    how = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
    return _failed(run, f"{_doing(job.command)}: {how}", _last_line(run)), False


def _failed(run: SweepRun, reason: str, last_line: str) -> Failure:
    say(f"{run.name}: FAILED, {reason}: {last_line}")
    return Failure(run.name, reason, last_line)


def _doing(command: Sequence[str]) -> str:
    return "evaluation" if "eval" in command else "training"


def _log(run: SweepRun) -> epath.Path:
    return run.workdir.root / LOG


def _last_line(run: SweepRun) -> str:
    """The last non-empty line of the run's log."""
    tail = _log(run).read_bytes()[-TAIL:].decode(errors="replace").strip()
    return tail.splitlines()[-1] if tail else "(no output)"


def say(line: str) -> None:
    """Prints a line with the time of day, unbuffered."""
    print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)
