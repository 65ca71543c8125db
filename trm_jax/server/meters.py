"""The metrics of a server, for Prometheus."""

from typing import Any

from trm_jax.core.errors import UserError

try:
    from prometheus_client import (
        CollectorRegistry,
        Counter,
        Gauge,
        Histogram,
        ProcessCollector,
        generate_latest,
    )
except ImportError as error:
    raise UserError(
        "trm serve needs the packages of the extra 'serve'; run `pip install 'trm-jax[serve]'`."
    ) from error

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Meters:
    """The metrics of one server, in a separate registry."""

    def __init__(self, rows: int) -> None:
        """Starts all metrics at 0; `rows` is the number of slots of the program."""
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        shared: dict[str, Any] = {"registry": self._registry}
        self._requests = Counter(
            "trm_requests", "Requests by path and status.", ("path", "status"), **shared
        )
        self._puzzles = Counter("trm_puzzles", "Puzzles by what came of them.", ("end",), **shared)
        self._waited = Histogram(
            "trm_queue_seconds", "Seconds a puzzle waits for a row.", buckets=SECONDS, **shared
        )
        self._computed = Histogram(
            "trm_compute_seconds", "Seconds a puzzle is in a row.", buckets=SECONDS, **shared
        )
        self._calls = Counter("trm_calls", "Calls of the compiled program.", **shared)
        self._steps = Counter("trm_steps", "Steps of the whole batch.", **shared)
        self._row_steps = Counter("trm_row_steps", "Steps of rows with a puzzle.", **shared)
        self._waiting = Gauge("trm_puzzles_waiting", "Puzzles that wait for a row.", **shared)
        self._busy = Gauge("trm_rows_busy", "Rows of the program with a puzzle.", **shared)
        Gauge("trm_rows", "Rows of the program.", **shared).set(rows)

    def request(self, path: str, status: int) -> None:
        """Counts a response."""
        self._requests.labels(path, str(status)).inc()

    def puzzle(self, end: str, queue_seconds: float, compute_seconds: float) -> None:
        """Counts a puzzle that ended as "solved", "unsolved", "unchecked" or "timed_out"."""
        self._puzzles.labels(end).inc()
        self._waited.observe(queue_seconds)
        self._computed.observe(compute_seconds)

    def called(self, steps: int, busy: int) -> None:
        """Counts a call of the program, its steps and its busy slots."""
        self._calls.inc()
        self._steps.inc(steps)
        self._row_steps.inc(steps * busy)

    def fill(self, waiting: int, busy: int) -> None:
        """Sets the number of waiting puzzles and of busy slots."""
        self._waiting.set(waiting)
        self._busy.set(busy)

    def text(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self._registry)
