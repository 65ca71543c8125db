"""Taking turns on one device: many processes compile side by side, one is timed at a time.

All of them share a lock file. Who compiles holds it together with the others that do; who is timed
holds it alone, so that nothing else runs on the device meanwhile, an autotuner included.
"""

import contextlib
import dataclasses
import fcntl
import signal
import time
from collections.abc import Callable, Iterator

POLL = 0.05
"""Seconds between two attempts at a lock that others hold."""


@contextlib.contextmanager
def compiling(
    lock: str | None, limit: float = 0.0, given_up: Callable[[], bool] = lambda: False
) -> Iterator[None]:
    """Waits until nobody is being timed, and keeps it so while something is compiled.

    Args:
      lock: path of the lock file; None waits for nobody.
      limit: seconds after which this process is ended by SIGALRM, 0 for none. A compiler cannot be
        interrupted otherwise, and all others wait for it.
      given_up: is asked while waiting.

    Raises:
      InterruptedError: `given_up` said yes.
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
    """Waits until nobody compiles or is timed, and keeps it so.

    Args:
      lock: path of the lock file; None waits for nobody.
      given_up: is asked while waiting.

    Raises:
      InterruptedError: `given_up` said yes.
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
        yield  # closing the file lets go of it, as the end of the process does


@dataclasses.dataclass(frozen=True)
class Turn:
    """One process's part in taking turns.

    Attributes:
      lock: path of the lock file; None waits for nobody.
      limit: seconds that compiling may take, 0 for any.
    """

    lock: str | None = None
    limit: float = 0.0

    def compiling(self) -> contextlib.AbstractContextManager[None]:
        """See `compiling`."""
        return compiling(self.lock, self.limit)

    def alone(self) -> contextlib.AbstractContextManager[None]:
        """See `alone`."""
        return alone(self.lock)


FREE = Turn()
"""Nobody else is there."""


def _got(file: int, kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
