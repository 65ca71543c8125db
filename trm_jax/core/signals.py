"""Handling of SIGTERM (sent by schedulers) and SIGINT (Ctrl-C)."""

import signal
from collections.abc import Callable
from types import TracebackType
from typing import Self


class StopSignals:
    """Context manager that catches SIGTERM and SIGINT and counts them.

    The signals do not interrupt anything: the caller checks `count` between pieces of work.
    """

    def __init__(self, heard: Callable[[int, int], None] | None = None) -> None:
        """`heard` is called at once with the signal's number and the number of earlier signals."""
        self.count = 0
        self._heard = heard

    def __enter__(self) -> Self:
        """Installs the signal handlers."""
        self._old = {s: signal.signal(s, self._ask) for s in (signal.SIGTERM, signal.SIGINT)}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Restores the previous signal handlers."""
        for number, handler in self._old.items():
            signal.signal(number, handler)

    def _ask(self, number: int, _: object) -> None:
        before, self.count = self.count, self.count + 1
        if self._heard:
            self._heard(number, before)
