"""Being asked to stop: SIGTERM from a scheduler, SIGINT from Ctrl-C."""

import signal
from collections.abc import Callable
from types import TracebackType
from typing import Self


class StopSignals:
    """Takes SIGTERM and SIGINT over, inside a `with` block, and counts them.

    What to do about them is up to whoever looks at `count`, between two pieces of work.
    """

    def __init__(self, heard: Callable[[int, int], None] | None = None) -> None:
        """`heard` is called at once with the signal's number and how many came before it."""
        self.count = 0
        self._heard = heard

    def __enter__(self) -> Self:
        """Takes the signals over."""
        self._old = {s: signal.signal(s, self._ask) for s in (signal.SIGTERM, signal.SIGINT)}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Gives the signals back."""
        for number, handler in self._old.items():
            signal.signal(number, handler)

    def _ask(self, number: int, _: object) -> None:
        before, self.count = self.count, self.count + 1
        if self._heard:
            self._heard(number, before)
