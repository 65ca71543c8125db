"""The thread that runs the program: puzzles enter free slots, and leave when they are done."""

import collections
import dataclasses
import math
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from trm_jax.infer.continuous import ENTERS, LEAVES, Advanced, Continuous
from trm_jax.infer.rollout import Answers
from trm_jax.infer.watch import Watched
from trm_jax.server.bounds import Bounds
from trm_jax.server.meters import Meters
from trm_jax.tasks.task import Tokens

MAX_RETRY_SECONDS = 60


class Outcome(NamedTuple):
    """The result of one puzzle.

    Attributes:
      answer: uint8 [S], token ids; None if it was given up, or a search found no answer.
      confidence: halting probability of the answer, 0 to 1.
      steps: number of supervision steps, or of rounds of a search.
      passes: number of network passes.
      queue_seconds: seconds from its arrival until it entered a slot.
      compute_seconds: seconds from then until its end.
      timed_out: whether it reached the time limit.
      path: the recorded steps of a traced puzzle; None if it is not traced or was given up.
    """

    answer: Tokens | None
    confidence: float
    steps: int
    passes: int
    queue_seconds: float
    compute_seconds: float
    timed_out: bool
    path: Answers | Watched | None


@dataclasses.dataclass(eq=False)
class Order:
    """The puzzles of one request.

    Attributes:
      questions: uint8 [m, S], token ids.
      traced: whether their steps are recorded.
      deliver: called in the engine's thread with the order when all puzzles have an outcome.
      outcomes: the outcome of each puzzle; None until it is known.
      arrived: time of arrival, in seconds of `time.perf_counter`.
      cancelled: whether the order is no longer needed.
      failed: whether the program failed.
      open: number of puzzles without an outcome.
    """

    questions: Tokens
    traced: bool
    deliver: Callable[["Order"], None]
    outcomes: list[Outcome | None] = dataclasses.field(default_factory=list)
    arrived: float = 0.0
    cancelled: bool = False
    failed: bool = False
    open: int = 0


@dataclasses.dataclass(eq=False)
class _Puzzle:
    order: Order
    place: int
    started: float = 0.0
    parts: list[Any] = dataclasses.field(default_factory=list)


class FullError(Exception):
    """The queue is full; `seconds` is an estimate of the time until it has room."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"busy for {seconds} s")
        self.seconds = seconds


class ClosedError(Exception):
    """The engine accepts no more puzzles."""


class Engine:
    """Runs a program for the orders of many requests.

    Attributes:
      failure: the error that ended the program; None as long as it runs.
    """

    def __init__(self, program: Continuous, bounds: Bounds, meters: Meters) -> None:
        """Prepares the thread for a compiled program; `start` starts it."""
        self.program, self.bounds, self.meters = program, bounds, meters
        self.failure: BaseException | None = None
        self._changed = threading.Condition()
        self._waiting: collections.deque[_Puzzle] = collections.deque()
        self._rows: list[_Puzzle | None] = [None] * program.rows
        self._busy = 0
        self._closed = self._stopped = False
        self._seconds_each = 0.0
        self._thread = threading.Thread(target=self._run, name="trm-engine", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def submit(self, order: Order) -> None:
        """Adds an order to the queue.

        Raises:
          FullError: the queue has too little room.
          ClosedError: the engine accepts no more orders.
        """
        count = len(order.questions)
        with self._changed:
            if self._closed:
                raise ClosedError
            free = self.program.rows - self._busy
            if len(self._waiting) + count > self.bounds.queue + free:
                raise FullError(self._retry_after())
            order.arrived = time.perf_counter()
            order.outcomes, order.open = [None] * count, count
            self._waiting.extend(_Puzzle(order, place) for place in range(count))
            self._measure()
            self._changed.notify()

    def cancel(self, order: Order) -> None:
        """Cancels an order; its puzzles stop waiting at once, and leave rows before the next call.

        Its `deliver` may never be called.
        """
        order.cancelled = True
        with self._changed:
            left = (puzzle for puzzle in self._waiting if puzzle.order is not order)
            self._waiting = collections.deque(left)
            self._measure()

    def close(self) -> None:
        """Accepts no more orders from now on."""
        with self._changed:
            self._closed = True

    @property
    def closed(self) -> bool:
        """Whether no more orders are accepted."""
        return self._closed

    @property
    def idle(self) -> bool:
        """Whether no puzzle is waiting or in a slot."""
        with self._changed:
            return not self._waiting and not self._busy

    def stop(self) -> None:
        """Ends the thread after the current call."""
        with self._changed:
            self._closed = self._stopped = True
            self._changed.notify()
        self._thread.join()

    def _retry_after(self) -> int:
        """Estimates the seconds until all waiting puzzles have entered, from past durations."""
        seconds = len(self._waiting) * self._seconds_each / self.program.rows
        return max(1, min(math.ceil(seconds), MAX_RETRY_SECONDS))

    def _run(self) -> None:
        try:
            while self._wait():
                entering, leaving = self._change()
                record = any(p is not None and p.order.traced for p in self._rows)
                if self._busy:
                    advanced = self.program.advance(entering, record=record)
                    leaving += self._collect(advanced)
                self._deliver(leaving)
        except BaseException as error:
            self._fail(error)

    def _wait(self) -> bool:
        """Waits until there is something to do; returns False when the thread has to end."""
        with self._changed:
            while not (self._waiting or self._busy or self._stopped):
                self._changed.wait()
            return not self._stopped

    def _change(self) -> tuple[Any, list[tuple[_Puzzle, Outcome]]]:
        """Removes puzzles that are given up, and puts waiting ones into free slots.

        Returns:
          The changes for the program, and the puzzles that were given up.
        """
        entering, leaving = self.program.nothing(), []
        now = time.perf_counter()
        with self._changed:
            for row, puzzle in enumerate(self._rows):
                if puzzle is not None and self._is_over(puzzle, now):
                    entering.change[row] = LEAVES
                    self._rows[row] = None
                    self._busy -= 1
                    leaving.append((puzzle, _given_up(puzzle, now)))
            # all have the same time limit, so the first one reaches it first
            free = [row for row, puzzle in enumerate(self._rows) if puzzle is None]
            for row in reversed(free):
                if not (puzzle := self._next(now, leaving)):
                    break
                puzzle.started = now
                self._rows[row] = puzzle
                self._busy += 1
                entering.change[row] = ENTERS
                entering.inputs[row] = puzzle.order.questions[puzzle.place]
            while self._waiting and self._is_over(self._waiting[0], now):
                puzzle = self._waiting.popleft()
                leaving.append((puzzle, _given_up(puzzle, now)))
            self._measure()
        return entering, leaving

    def _next(self, now: float, leaving: list[tuple[_Puzzle, Outcome]]) -> _Puzzle | None:
        """The next waiting puzzle that is still needed and has time left."""
        while self._waiting:
            puzzle = self._waiting.popleft()
            if not self._is_over(puzzle, now):
                return puzzle
            leaving.append((puzzle, _given_up(puzzle, now)))
        return None

    def _is_over(self, puzzle: _Puzzle, now: float) -> bool:
        order = puzzle.order
        return order.cancelled or now - order.arrived > self.bounds.seconds

    def _collect(self, advanced: Advanced) -> list[tuple[_Puzzle, Outcome]]:
        """The puzzles that are done; their slots become free."""
        report, now, done = advanced.report, time.perf_counter(), []
        self.meters.called(int(report.taken), self._busy)
        if advanced.record is not None:
            for row, puzzle in enumerate(self._rows):
                if puzzle is not None and puzzle.order.traced:
                    puzzle.parts.append(self.program.part_of(row, advanced))
        with self._changed:
            for row in report.done.nonzero()[0].tolist():
                puzzle = self._rows[row]
                if puzzle is None:
                    continue
                self._rows[row] = None
                self._busy -= 1
                done.append((puzzle, self._outcome(puzzle, row, report, now)))
            self._measure()
        return done

    def _outcome(self, puzzle: _Puzzle, row: int, report: Any, now: float) -> Outcome:
        seconds = now - puzzle.started
        self._seconds_each += 0.05 * (seconds - self._seconds_each)
        answered = report.confident[row] or not self.program.abstains
        return Outcome(
            answer=report.answers[row].copy() if answered else None,
            confidence=float(report.confidence[row]),
            steps=int(report.steps[row]),
            passes=int(report.passes[row]),
            queue_seconds=puzzle.started - puzzle.order.arrived,
            compute_seconds=seconds,
            timed_out=False,
            path=self.program.path_of(puzzle.parts) if puzzle.parts else None,
        )

    def _deliver(self, ended: Sequence[tuple[_Puzzle, Outcome]]) -> None:
        for puzzle, outcome in ended:
            order = puzzle.order
            order.outcomes[puzzle.place] = outcome
            order.open -= 1
            if not order.open:
                order.deliver(order)

    def _fail(self, error: BaseException) -> None:
        """Ends all orders after the program failed."""
        with self._changed:
            self.failure, self._closed = error, True
            left = [*self._waiting, *(p for p in self._rows if p is not None)]
            self._waiting.clear()
            self._rows = [None] * self.program.rows
            self._busy = 0
        for order in {puzzle.order for puzzle in left}:
            order.failed = True
            order.deliver(order)

    def _measure(self) -> None:
        self.meters.fill(len(self._waiting), self._busy)


def _given_up(puzzle: _Puzzle, now: float) -> Outcome:
    started = puzzle.started or now
    return Outcome(
        answer=None,
        confidence=0.0,
        steps=0,
        passes=0,
        queue_seconds=started - puzzle.order.arrived,
        compute_seconds=now - started,
        timed_out=not puzzle.order.cancelled,
        path=None,
    )
