"""Commands that a script starts: limited in time, logged, and ended when the script ends."""

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
"""Seconds that a command may take to end once it is asked to."""

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
    """A command that gets a signal when this process ends, however it does, SIGKILL included.

    It works on Linux; elsewhere the command goes on. It has to be waited for in the thread that
    starts it, since the end of that thread counts as the end of the process.

    Args:
      command: to run.
      number: of the signal.
    """
    launcher = [sys.executable, "-I", "-S", "-c", _LAUNCHER]
    return [*launcher, str(os.getpid()), str(int(number)), *command]


class Children:
    """The commands that are running, from any thread.

    Leaving the `with` block by an exception ends them all.
    """

    def __init__(self, folder: Path, kept_open: Sequence[int] = ()) -> None:
        """Starts with none.

        Args:
          folder: where they run.
          kept_open: file descriptors that they inherit; a lock of the script's among them is held
            until the last of them is gone.
        """
        self._folder, self._kept_open = folder, tuple(kept_open)
        self._running: dict[int, subprocess.Popen[bytes]] = {}
        self._guard = threading.Lock()
        self.ending = False

    def __enter__(self) -> Self:
        """Gives itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Ends what still runs, where the block failed."""
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
        """Runs a command until it ends; after `limit` seconds asks it to, and then makes it.

        Args:
          command: to run.
          out: file that its output goes to; None adds it to the log, too.
          log: file that its errors are added to.
          limit: seconds.
          environment: changes of the environment.
          farewell: signal that it gets when this process is killed.
          patience: seconds that it may take to end once it is asked to.

        Returns:
          Its exit code, the negative number of the signal that ended it.
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
                _ended(process, patience)  # we ourselves are ended
                raise
            finally:
                with self._guard:
                    del self._running[process.pid]

    def end(self) -> None:
        """Asks all to end, makes them after a while, and lets no other begin."""
        with self._guard:
            self.ending = True
            running = list(self._running.values())
        for process in running:
            process.terminate()
        for process in running:
            _ended(process)


def _ended(process: subprocess.Popen[bytes], patience: float = KILLED) -> int:
    """Asks a command to end, makes it after a while, and whatever it has started with it."""
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(patience)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    return process.wait()
