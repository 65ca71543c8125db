"""Answers as JSON: grids, results of the rules, costs, traces."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from trm_jax.infer.watch import Watched
from trm_jax.server.engine import Order, Outcome
from trm_jax.show.trace_page import Trace, records
from trm_jax.show.trace_record import trace, trace_chains
from trm_jax.tasks.task import Shape, Tokens, task_of

MAX_BROKEN = 8
"""Max number of broken rules in an answer."""


def replies(shape: Shape, order: Order) -> list[dict[str, Any]]:
    """The answers to an order.

    Args:
      shape: form of the puzzles.
      order: an order whose puzzles all have an outcome.

    Returns:
      For each puzzle: `grid`, `text`, `solved`, `broken`, `confidence`, `steps`, `passes`,
      `queue_ms`, `compute_ms` and `timed_out`. `grid` and `text` are None if there is no answer,
      and `solved` if the task has no rules.
    """
    outcomes = [outcome for outcome in order.outcomes if outcome is not None]
    verdicts = _verdicts(shape, order.questions, outcomes)
    return [
        _reply(shape, outcome, broken) for outcome, broken in zip(outcomes, verdicts, strict=True)
    ]


def _verdicts(
    shape: Shape, questions: Tokens, outcomes: Sequence[Outcome]
) -> list[list[str] | None]:
    """The rules that each answer breaks, empty if it is right; None if the task has no rules."""
    task = task_of(shape)
    verdicts: list[list[str] | None] = [[] for _ in outcomes]
    there = [(i, each.answer) for i, each in enumerate(outcomes) if each.answer is not None]
    if not there:
        return verdicts
    asked = questions[[number for number, _ in there]]
    kept = task.accepts(shape, asked, np.stack([answer for _, answer in there]))
    for place, (number, answer) in enumerate(there):
        if kept is None:
            verdicts[number] = None
        elif not kept[place]:
            verdicts[number] = task.check(shape, questions[number], answer)
    return verdicts


def _reply(shape: Shape, outcome: Outcome, broken: list[str] | None) -> dict[str, Any]:
    task, answer = task_of(shape), outcome.answer
    return {
        "grid": None if answer is None else task.write_array(shape, answer).tolist(),
        "text": None if answer is None else task.write(shape, answer),
        "solved": None if broken is None else answer is not None and not broken,
        "broken": (broken or [])[:MAX_BROKEN],
        "confidence": round(outcome.confidence, 4),
        "steps": outcome.steps,
        "passes": outcome.passes,
        "queue_ms": round(1000 * outcome.queue_seconds, 3),
        "compute_ms": round(1000 * outcome.compute_seconds, 3),
        "timed_out": outcome.timed_out,
    }


def end_of(reply: dict[str, Any]) -> str:
    """How a puzzle ended, as one word for the metrics."""
    if reply["timed_out"]:
        return "timed_out"
    return {True: "solved", False: "unsolved", None: "unchecked"}[reply["solved"]]


def trace_records(shape: Shape, order: Order) -> dict[str, Any]:
    """The traces of an order in the form that the page reads (`show.trace_page.records`)."""
    traces: list[Trace] = []
    nothing = np.zeros_like(order.questions[0])
    for number, (question, outcome) in enumerate(
        zip(order.questions, order.outcomes, strict=True), 1
    ):
        path, name = outcome.path if outcome else None, f"puzzle {number}"
        if isinstance(path, Watched):
            traces += trace_chains(shape, question[None], [path], [name])
        elif path is not None:
            traces.append(trace(shape, name, question, nothing, path))
    return records(traces)
