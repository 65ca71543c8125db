"""The engine: rows are shared, waiting is bounded, what is given up leaves, what breaks is told."""

import threading
import time

import numpy as np
import pytest

from tests.server.fakes import FakeProgram
from trm_jax.core.errors import UserError
from trm_jax.server.bounds import Bounds
from trm_jax.server.engine import ClosedError, Engine, FullError, Order
from trm_jax.server.meters import Meters


def questions(*calls):
    """Questions that take so many calls."""
    return np.asarray([[n, 7, 8, 9] for n in calls], np.uint8)


class Desk:
    """An engine with a fake program."""

    def __init__(self, rows=2, pause=0.0, **bounds):
        self.program = FakeProgram(rows=rows, seconds=pause)
        self.engine = Engine(self.program, Bounds(**bounds), Meters(rows))
        self.engine.start()

    def ask(self, *calls, traced=False):
        done = threading.Event()
        order = Order(questions(*calls), traced, lambda _: done.set())
        order.done = done
        self.engine.submit(order)
        return order


@pytest.fixture
def desk():
    made = []

    def make(**settings):
        made.append(Desk(**settings))
        return made[-1]

    yield make
    for each in made:
        each.program.gate.set()
        each.engine.stop()


def test_answers_come_with_costs_in_their_order(desk):
    order = desk().ask(3, 1, 2)
    assert order.done.wait(60)
    for outcome, question in zip(order.outcomes, order.questions, strict=True):
        np.testing.assert_array_equal(outcome.answer, question ^ 1)
        assert outcome.steps == question[0] and outcome.confidence == 0.75
        assert outcome.queue_seconds >= 0 and outcome.compute_seconds > 0
        assert not outcome.timed_out and outcome.path is None


def test_a_short_puzzle_does_not_wait_for_a_long_one(desk):
    bench = desk(pause=0.01)
    long, short = bench.ask(200), bench.ask(1)
    assert short.done.wait(60) and not long.done.is_set()
    assert long.done.wait(60)


def test_puzzles_enter_in_the_order_of_their_arrival(desk):
    bench = desk(rows=1)
    orders = [bench.ask(n) for n in (2, 1, 3, 1)]
    assert all(order.done.wait(60) for order in orders)
    assert [row[0] for row in bench.program.entered] == [2, 1, 3, 1]


def test_only_traced_puzzles_are_recorded(desk):
    bench = desk()
    traced, plain = bench.ask(2, traced=True), bench.ask(2)
    assert traced.done.wait(60) and plain.done.wait(60)
    assert len(traced.outcomes[0].path) == 2 and plain.outcomes[0].path is None


def test_beyond_the_queue_it_is_full(desk):
    bench = desk(queue=3)
    bench.program.gate.clear()
    first = bench.ask(1, 1)
    until(lambda: bench.program.calls == 1)
    rest = bench.ask(1, 1, 1)
    with pytest.raises(FullError) as full:
        bench.ask(1)
    assert 1 <= full.value.seconds <= 60
    bench.program.gate.set()
    assert first.done.wait(60) and rest.done.wait(60)
    assert bench.ask(1).done.wait(60)


def test_what_takes_too_long_is_given_up_in_rows_and_in_the_queue(desk):
    bench = desk(rows=1, pause=0.01, seconds=0.1)
    running, waiting = bench.ask(255), bench.ask(255)
    assert running.done.wait(60) and waiting.done.wait(60)
    for order in (running, waiting):
        assert order.outcomes[0].timed_out and order.outcomes[0].answer is None
    assert bench.ask(1).done.wait(60), "the row is free again"


def test_who_is_gone_leaves_the_rows(desk):
    bench = desk(rows=1, pause=0.01)
    gone = bench.ask(255, 255, 255)
    until(lambda: bench.program.calls > 1)
    bench.engine.cancel(gone)
    after = bench.ask(1)
    assert after.done.wait(60) and not after.outcomes[0].timed_out
    assert len(bench.program.entered) == 2


def test_what_is_given_up_while_it_waits_makes_room_at_once(desk):
    bench = desk(rows=1, queue=3)
    bench.program.gate.clear()
    first = bench.ask(1)
    until(lambda: bench.program.calls == 1)
    before, gone = bench.ask(1), bench.ask(1, 1)
    with pytest.raises(FullError):
        bench.ask(1)
    bench.engine.cancel(gone)
    after = bench.ask(1, 1)
    bench.program.gate.set()
    assert all(order.done.wait(60) for order in (first, before, after))
    assert len(bench.program.entered) == 4


def test_closing_finishes_what_was_accepted(desk):
    bench = desk(rows=1, pause=0.01)
    order = bench.ask(5, 5, 5)
    bench.engine.close()
    with pytest.raises(ClosedError):
        bench.ask(1)
    assert not bench.engine.idle
    assert order.done.wait(60)
    until(lambda: bench.engine.idle)
    assert [outcome.steps for outcome in order.outcomes] == [5, 5, 5]


def test_a_program_that_breaks_down_is_told_to_all(desk):
    bench = desk(rows=1)
    bench.program.gate.clear()
    orders = [bench.ask(3), bench.ask(3, 3)]
    bench.program.error = RuntimeError("no more")
    bench.program.gate.set()
    assert all(order.done.wait(60) and order.failed for order in orders)
    assert bench.engine.failure is bench.program.error and bench.engine.closed
    with pytest.raises(ClosedError):
        bench.ask(1)


@pytest.mark.parametrize(("field", "flag"), [("seconds", "time_limit"), ("queue", "queue")])
def test_bounds_that_make_no_sense_are_refused(field, flag):
    for value in (0, -1, float("nan")):
        with pytest.raises(UserError, match=f"--{flag} is"):
            Bounds(**{field: value})


def until(true, seconds=60):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.002)
