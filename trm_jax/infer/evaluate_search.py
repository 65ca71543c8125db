"""Evaluation with halting and search: each question takes as many steps as it needs."""

import time
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh
from numpy.typing import NDArray

from trm_jax.data.questions import Questions
from trm_jax.data.views import Grids
from trm_jax.infer import calibration, selection
from trm_jax.infer.exactness import compare
from trm_jax.infer.search import Found, Search, Searcher
from trm_jax.infer.selection import SELECTIONS, Trajectories
from trm_jax.models import Model
from trm_jax.models.weights import Weights
from trm_jax.tasks.task import Shape, main_score, task_of

Part = dict[str, Any]
"""Arrays [q, ...] of the q questions of one call; some are in nested dictionaries."""


def evaluate_search(
    model: Model,
    checkpoints: Sequence[Weights],
    questions: Questions,
    rows: NDArray[np.int32],
    *,
    search: Search,
    batch_size: int,
    mesh: Mesh,
    voting: str = "",
) -> dict[str, Any]:
    """Scores, for every question, the answer that is selected from its trajectories.

    Args:
      model: from the registry.
      checkpoints: weights of one or more checkpoints; each runs all trajectories.
      questions: from `tasks.views.ask`.
      rows: int32 [R], row of the puzzle table for each row of the questions' dataset.
      search: settings of the search.
      batch_size: number of slots; rounded up to a multiple of the devices.
      mesh: mesh that the weights are on.
      voting: as in `evaluate.evaluate`.

    Returns:
      As `evaluate.evaluate`, for the selected answers and with an empty `by_depth`, and besides:
      `steps_used`, steps per question of the trajectories that count (with `select` "first", those
      up to the first confident one); `work`, all steps per question that were run; `steps`, a
      histogram of the counted trajectories by their number of steps, from 1; `rounds`, steps of the
      whole batch; `search`, the settings, and `how`, a short name of them. With several
      trajectories also `by_selection`, the exact accuracy of each selection rule and the `mean`
      over trajectories, and `oracle`, accuracies that need a check of the answers: `any`, at least
      one trajectory is correct; `rules`, the answer that satisfies the task's rules is selected.
    """
    start = time.perf_counter()
    shape = questions.dataset.manifest
    task = task_of(shape)
    verdict = task.judge(questions, voting)
    searcher = Searcher(model, questions, search, batch_size=batch_size, mesh=mesh)
    parts: list[Part] = []
    rounds = work = 0
    for places in searcher.calls():
        inputs, labels, found = searcher.find(checkpoints, places, rows)
        part = _judged(inputs, labels, found, search, shape)
        answers, logits = part.pop("answers"), part["halt_logits"]
        if verdict:
            verdict.see(places, inputs, answers[None], logits[None])
        parts.append(part)
        rounds, work = rounds + found.rounds, work + found.work
    together = jax.tree.map(lambda *arrays: np.concatenate(arrays), *parts)
    result = _summary(together, questions.answered(), search)
    result |= {"rounds": rounds, "work": work / len(questions), "examples": len(questions)}
    result |= search.facts(len(checkpoints))
    if verdict:
        more = verdict.result()
        more.pop("by_depth", None)
        result |= more
    return {"score": main_score(task, result), **result, "seconds": time.perf_counter() - start}


def _judged(inputs: Grids, labels: Grids, found: Found, search: Search, shape: Shape) -> Part:
    """The scores of one call's questions, and the selected `answers`."""
    paths = Trajectories(selection.numbers_of(found.answers), found.halt_logits, found.confident)
    chosen = SELECTIONS[search.select](paths)
    exact, _ = compare(found.answers, labels)
    answers = selection.pick(found.answers, chosen)
    part: Part = {
        "answers": answers,
        "halt_logits": selection.pick(found.halt_logits, chosen),
        "exact": selection.pick(exact, chosen),
        "cells": compare(answers, labels)[1],
        "steps": _counted(found, search).T,
    }
    if len(found.steps) == 1 or search.race:
        return part
    by_selection = {name: selection.pick(exact, rule(paths)) for name, rule in SELECTIONS.items()}
    oracle = {"any": exact.any(axis=0)}
    accepted = [task_of(shape).accepts(shape, inputs, answers) for answers in found.answers]
    kept = np.stack([a for a in accepted if a is not None]) if accepted[0] is not None else None
    if kept is not None:
        lawful = np.where(kept.any(axis=0), np.argmax(kept, axis=0), chosen)
        oracle["rules"] = selection.pick(exact, lawful)
    return part | {"by_selection": by_selection | {"mean": exact.mean(axis=0)}, "oracle": oracle}


def _counted(found: Found, search: Search) -> NDArray[np.int32]:
    """Steps [K, q] of the trajectories that count: in a race, up to the first confident one."""
    if not search.race:
        return found.steps
    before: NDArray[np.int64] = np.cumsum(found.confident, axis=0) - found.confident
    return np.where(before > 0, 0, found.steps)


def _summary(part: Part, answered: NDArray[np.bool_], search: Search) -> dict[str, Any]:
    steps = part["steps"]
    result: dict[str, Any] = {
        "exact_accuracy": _mean(part["exact"], answered),
        "cell_accuracy": _mean(part["cells"], answered),
        "steps_used": float(steps.sum(axis=1).mean()),
        "steps": np.bincount(steps.ravel(), minlength=search.halt.max_steps + 1)[1:].tolist(),
        "by_depth": [],
    }
    for group, order in (("by_selection", (*SELECTIONS, "mean")), ("oracle", ("any", "rules"))):
        each = part.get(group, {})
        if each:
            result[group] = {n: _mean(each[n], answered) for n in order if n in each}
    if answered.any():
        result |= calibration.summary(part["halt_logits"][answered], part["exact"][answered])
    return result


def _mean(values: NDArray[Any], answered: NDArray[np.bool_]) -> float | None:
    return float(values[answered].mean()) if answered.any() else None
