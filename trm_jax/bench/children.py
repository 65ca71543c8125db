"""Runs commands with a time limit and a log; they end when the process that starts them ends."""

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

KILLED = 20.0
"""Seconds that a command may take to end after SIGTERM, before it is killed."""

_LAUNCHER = """
import ctypes, os, sys
parent, number, *command = sys.argv[1:]
try:
    ctypes.CDLL(None).prctl(1, int(number), 0, 0, 0)  # PR_SET_PDEATHSIG
except (AttributeError, OSError):
    pass  # not Linux
if os.getppid() != int(parent):
    sys.exit("started by a process that is gone")
try:
    os.execvp(command[0], command)
except OSError as error:
    sys.exit(f"{command[0]} cannot be started ({error.strerror})")
"""


def ended_with_us(command: Sequence[str], number: int = signal.SIGKILL) -> list[str]:
    """Wraps a command so that it gets a signal when this process ends in any way, even by SIGKILL.

    This works on Linux only; elsewhere the command continues. The thread that starts the command
    has to wait for it, since the end of that thread counts as the end of the process.

    Args:
      command: the command.
      number: number of the signal.

    Returns:
      The command to start instead.
    """
    launcher = [sys.executable, "-I", "-S", "-c", _LAUNCHER]
    return [*launcher, str(os.getpid()), str(int(number)), *command]


class Children:
    """Runs commands from any thread, and keeps track of those that are running.

    If the `with` block is left by an exception, all of them are ended.
    """

    def __init__(self, folder: Path, kept_open: Sequence[int] = ()) -> None:
        """Starts no command yet.

        Args:
          folder: working directory of the commands.
          kept_open: file descriptors that they inherit; a lock among them is held until the last
            command has ended.
        """
        self._folder, self._kept_open = folder, tuple(kept_open)
        self._running: dict[int, subprocess.Popen[bytes]] = {}
        self._guard = threading.Lock()
        self.ending = False

    def __enter__(self) -> Self:
        """Returns this object."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Ends the running commands if the block failed."""
        if kind is not None:
            self.end()

    def run(
        self,
        command: Sequence[str],
        out: Path | None,
        log: Path,
        limit: float,
        environment: Mapping[str, str] | None = None,
        farewell: int = signal.SIGKILL,
        patience: float = KILLED,
    ) -> int:
        """Runs a command until it ends; terminates it after `limit` seconds.

        Args:
          command: the command.
          out: file for its standard output; None for the log.
          log: file that its standard error is appended to.
          limit: time limit in seconds.
          environment: changes of the environment.
          farewell: signal that it gets when this process is killed.
          patience: seconds that it may take to end after SIGTERM, before it is killed.

        Returns:
          Its exit code, or the negative number of the signal that ended it.
        """
        with contextlib.ExitStack() as files:
            errors = files.enter_context(log.open("a"))
            output = errors if out is None else files.enter_context(out.open("w"))
            errors.write(f"$ {shlex.join(command)}\n")
            errors.flush()
            with self._guard:
                if self.ending:
                    return -signal.SIGTERM
                process = subprocess.Popen(
                    ended_with_us(command, farewell),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=errors,
                    cwd=self._folder,
                    env={**os.environ, "PYTHONUNBUFFERED": "1", **(environment or {})},
                    pass_fds=self._kept_open,
                    start_new_session=True,
                )
                self._running[process.pid] = process
            try:
                return process.wait(max(limit, 0.0))
            except subprocess.TimeoutExpired:
                return _ended(process, patience)
            except BaseException:
                _ended(process, patience)  # this process itself is ended
                raise
            finally:
                with self._guard:
                    del self._running[process.pid]

    def end(self) -> None:
        """Terminates all commands, kills those that do not end, and prevents new ones."""
        with self._guard:
            self.ending = True
            running = list(self._running.values())
        for process in running:
            process.terminate()
        for process in running:
            _ended(process)


def _ended(process: subprocess.Popen[bytes], patience: float = KILLED) -> int:
    """Terminates a command, and kills its process group after `patience` seconds."""
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(patience)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    return process.wait()
