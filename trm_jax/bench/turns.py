"""Turns on one device: many processes compile at the same time, one is timed at a time.

The processes share a lock file. Compiling takes a shared lock, and timing an exclusive one, so that
nothing else, such as an autotuner, runs on the device meanwhile.
"""

import contextlib
import dataclasses
import fcntl
import signal
import time
from collections.abc import Callable, Iterator

POLL = 0.05
"""Seconds between two attempts to acquire the lock."""


@contextlib.contextmanager
def compiling(
    lock: str | None, limit: float = 0.0, given_up: Callable[[], bool] = lambda: False
) -> Iterator[None]:
    """Waits until no process is being timed, and prevents timing within the block.

    Args:
      lock: path of the lock file; None to not wait.
      limit: seconds after which SIGALRM ends this process, 0 for no limit. A compiler cannot be
        interrupted in another way, and all other processes wait for it.
      given_up: polled while waiting; True stops waiting.

    Raises:
      InterruptedError: `given_up` returned True.
    """
    with _held(lock, fcntl.LOCK_SH, given_up):
        if limit:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.setitimer(signal.ITIMER_REAL, limit)
        try:
            yield
        finally:
            if limit:
                signal.setitimer(signal.ITIMER_REAL, 0)


@contextlib.contextmanager
def alone(lock: str | None, given_up: Callable[[], bool] = lambda: False) -> Iterator[None]:
    """Waits until no process compiles or is being timed, and prevents both within the block.

    Args:
      lock: path of the lock file; None to not wait.
      given_up: polled while waiting; True stops waiting.

    Raises:
      InterruptedError: `given_up` returned True.
    """
    with _held(lock, fcntl.LOCK_EX, given_up):
        yield


@contextlib.contextmanager
def _held(
    lock: str | None, kind: int, given_up: Callable[[], bool] = lambda: False
) -> Iterator[None]:
    if lock is None:
        yield
        return
    with open(lock, "a") as file:
        while not _got(file.fileno(), kind):
            if given_up():
                raise InterruptedError(f"gave up waiting for {lock}")
            time.sleep(POLL)
        yield  # closing the file releases the lock, and so does the end of the process


@dataclasses.dataclass(frozen=True)
class Turn:
    """The turns of one process.

    Attributes:
      lock: path of the lock file; None to not wait.
      limit: seconds that compiling may take; 0 for no limit.
    """

    lock: str | None = None
    limit: float = 0.0

    def compiling(self) -> contextlib.AbstractContextManager[None]:
        """A block for compiling, see `compiling`."""
        return compiling(self.lock, self.limit)

    def alone(self) -> contextlib.AbstractContextManager[None]:
        """A block for timing, see `alone`."""
        return alone(self.lock)


FREE = Turn()
"""Turns without a lock, for a process that has the device to itself."""


def _got(file: int, kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
