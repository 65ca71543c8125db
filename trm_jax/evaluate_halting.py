"""Scoring with halting: each question takes as many steps as it needs, see `halting`."""

import dataclasses
import functools
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh
from numpy.typing import NDArray

from trm_jax import calibration
from trm_jax.data.questions import Questions
from trm_jax.evaluate import PUBLISHED_VOTING, main_score
from trm_jax.halting import Finished, Halt, answer_queue
from trm_jax.mesh import replicated, to_global
from trm_jax.models import Model
from trm_jax.scoring.judges import judge
from trm_jax.state import Weights

QUEUE = 16
"""Questions of one call, as a multiple of the slots: only at its end do slots stand idle."""


def evaluate_halting(
    model: Model,
    weights: Weights,
    questions: Questions,
    rows: NDArray[np.int32],
    *,
    halt: Halt,
    batch_size: int,
    mesh: Mesh,
    voting: str = PUBLISHED_VOTING,
) -> dict[str, Any]:
    """Scores every question once it is believed to be answered.

    Args:
      model: from the registry.
      weights: averaged, usually.
      questions: from `questions.ask`.
      rows: the weights' table row for each row of the questions' data set.
      halt: when to stop.
      batch_size: slots; rounded up to what the mesh can split.
      mesh: as the weights'.
      voting: ARC: a key of `arc_vote.VOTING`.

    Returns:
      As `evaluate.evaluate`, of the answers that were taken, with an empty `by_depth`; `steps_used`
      is the mean over the questions, `steps` counts them by their number of steps from 1 on,
      `rounds` is the supervision steps of the whole batch, and `halting` the rule.
    """
    start = time.perf_counter()
    verdict = judge(questions, voting)
    slots = min(batch_size, len(questions))
    slots += -slots % mesh.size
    run = jax.jit(
        functools.partial(answer_queue, model, slots=slots, halt=halt, mesh=mesh),
        out_shardings=replicated(mesh),
    )
    size = min(len(questions), QUEUE * slots)
    parts: list[dict[str, Any]] = []
    right: list[tuple[NDArray[np.bool_], NDArray[np.floating]]] = []
    for first in range(0, len(questions), size):
        places = np.arange(first, min(first + size, len(questions)))
        inputs, labels, found = _answer(run, weights, questions, places, rows, size, mesh)
        if verdict:
            verdict.see(places, inputs, found["answers"][None], found["halt_logits"][None])
        right.append(_compare(found.pop("answers"), labels))
        parts.append(found)
    exact, cells = (np.concatenate(part) for part in zip(*right, strict=True))
    steps = np.concatenate([part["steps"] for part in parts])
    logits = np.concatenate([part["halt_logits"] for part in parts])
    answered = questions.answered()
    result: dict[str, Any] = {
        "exact_accuracy": float(exact[answered].mean()) if answered.any() else None,
        "cell_accuracy": float(cells[answered].mean()) if answered.any() else None,
        "steps_used": float(steps.mean()),
        "steps": np.bincount(steps, minlength=halt.most + 1)[1:].tolist(),
        "rounds": int(sum(part["rounds"] for part in parts)),
        "halting": dataclasses.asdict(halt),
        "examples": len(questions),
        "by_depth": [],
    }
    if answered.any():
        result |= calibration.summary(logits[answered], exact[answered])
    if verdict:
        more = verdict.result()
        more.pop("by_depth", None)
        result |= more
    return {"score": main_score(result), **result, "seconds": time.perf_counter() - start}


def _answer(
    run: Callable[..., Finished],
    weights: Weights,
    questions: Questions,
    places: NDArray[np.int64],
    rows: NDArray[np.int32],
    size: int,
    mesh: Mesh,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], dict[str, Any]]:
    """The questions at `places`, their right answers, and the fields of `Finished` for them."""
    count = len(places)
    padded = np.pad(places, (0, size - count), mode="edge")
    inputs, labels, ids = questions.show(padded)
    given = (inputs.astype(np.int32), rows[ids].astype(np.int32), np.asarray(count, np.int32))
    found = jax.device_get(run(weights, *to_global(given, replicated(mesh))))
    cut = {name: getattr(found, name)[:count] for name in ("answers", "halt_logits", "steps")}
    return inputs[:count], labels[:count], {**cut, "rounds": found.rounds}


def _compare(
    answers: NDArray[np.uint8], labels: NDArray[np.uint8]
) -> tuple[NDArray[np.bool_], NDArray[np.floating]]:
    """Whether each answer [m, S] is right wherever its label counts, and the share of cells."""
    counted = labels > 0
    agree = counted & (answers == labels)
    return agree.sum(1) == counted.sum(1), agree.sum(1) / np.maximum(counted.sum(1), 1)
