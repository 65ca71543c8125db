"""Accuracy against compute: all depths and widths of a search, from one run without halting."""

import statistics
import time
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from jax.sharding import Mesh
from numpy.typing import NDArray

from trm_jax.core.errors import UserError
from trm_jax.data.questions import Questions
from trm_jax.data.views import Grids, Numbers
from trm_jax.infer import calibration, selection
from trm_jax.infer.exactness import compare
from trm_jax.infer.rollout import Rollout
from trm_jax.infer.search import Search, turn, turn_back
from trm_jax.infer.selection import SELECTIONS, Trajectories
from trm_jax.models import Model
from trm_jax.models.flops import step_flops
from trm_jax.models.weights import Weights
from trm_jax.tasks.task import task_of

THRESHOLDS = (0.1, 0.3, 0.5, 0.7, 0.9, 0.95, 0.99)
PATIENCES = (1, 2)
Row = dict[str, Any]


class Seen(NamedTuple):
    """Outcome of K trajectories of b questions after each of N steps, [K, N, b] each.

    Attributes:
      answers: uint64, hashes of the answers, see `selection.numbers_of`.
      halt_logits: float32.
      exact: bool, whether the whole answer is correct.
    """

    answers: NDArray[np.uint64]
    halt_logits: NDArray[np.float32]
    exact: NDArray[np.bool_]


def evaluate_curve(
    model: Model,
    checkpoints: Sequence[Weights],
    questions: Questions,
    rows: NDArray[np.int32],
    *,
    search: Search,
    batch_size: int,
    mesh: Mesh,
) -> dict[str, Any]:
    """Measures accuracy as a function of depth, width and halting rule.

    Args:
      model: from the registry.
      checkpoints: weights of one or more checkpoints; each runs all trajectories.
      questions: from `tasks.views.ask`, with labels.
      rows: int32 [R], row of the puzzle table for each row of the questions' dataset.
      search: its depth, rollouts, copies and perturbation are used.
      batch_size: questions per call; rounded up to a multiple of the devices.
      mesh: mesh that the weights are on.

    Returns:
      `curve`: a list of rows with `rule` (a key of `selection.SELECTIONS`; "mean" over the
      trajectories; "oracle", correct if any trajectory is; or "halting", the first trajectory
      alone, stopped by its halting head), `width` (number of trajectories), `depth` (maximum steps
      of each), `threshold` and `patience` of "halting", `exact_accuracy`, and per puzzle `steps`,
      `tflop` (by formula) and `seconds` (`steps` times the time of one step, without compilation;
      for halting, which refills slots, only an estimate).
      `reliability`: for the first trajectory after the last step, per bin of halting probability,
      `count`, mean `probability` and `exact_accuracy`; and `halt_auc` and `halt_error`.
      `examples`, `how` and `total_seconds`.

    Raises:
      UserError: no labels are known, or the task is scored by a vote.
    """
    start = time.perf_counter()
    answered = questions.answered()
    if task_of(questions.dataset.manifest).votings or not answered.any():
        raise UserError(
            "--curve needs puzzles with known answers and a task that is scored by exact accuracy, "
            "not by a vote; leave it out."
        )
    search.perturbation.check(model.state_names)
    watcher = _Watcher(model, questions, search, checkpoints, batch_size, mesh)
    places = np.flatnonzero(answered)
    sums: dict[tuple[Any, ...], NDArray[np.float64]] = {}
    logits, exact = [], []
    for first in range(0, len(places), watcher.batch_size):
        seen = watcher.see(places[first : first + watcher.batch_size], rows)
        for key, value in (*_widths(seen), *_halting(seen)):
            sums[key] = sums.get(key, np.zeros(value.shape)) + value
        logits.append(seen.halt_logits[0, -1])
        exact.append(seen.exact[0, -1])
    second = statistics.median(watcher.times)
    tera = step_flops(model.config, 1, train=False) / 1e12
    table = list(_rows(sums, len(places)))
    for row in table:
        row |= {"tflop": row["steps"] * tera, "seconds": row["steps"] * second}
    return {
        "curve": table,
        "reliability": _reliability(np.concatenate(logits), np.concatenate(exact)),
        "examples": len(places),
        **search.facts(len(checkpoints)),
        "how": f"curve-{search.name}",
        "total_seconds": time.perf_counter() - start,
    }


class _Watcher:
    """Runs all trajectories of a batch; `times` has the seconds per puzzle and step of each run."""

    def __init__(
        self,
        model: Model,
        questions: Questions,
        search: Search,
        checkpoints: Sequence[Weights],
        batch_size: int,
        mesh: Mesh,
    ) -> None:
        size = min(batch_size, len(questions))
        steps, perturbation = search.halt.max_steps, search.perturbation
        self._rollout = Rollout(model, mesh, steps, size, perturbation=perturbation)
        self.batch_size = self._rollout.batch_size
        self.times: list[float] = []
        self._questions, self._search = questions, search
        self._checkpoints, self._symmetries = checkpoints, search.symmetries(questions)

    def see(self, places: Numbers, rows: NDArray[np.int32]) -> Seen:
        """Runs all trajectories of the questions at `places`."""
        inputs, labels, ids = self._questions.show(places)
        parts = [
            self._one(weights, inputs, labels, rows[ids], places, number, path)
            for number, weights in enumerate(self._checkpoints)
            for path in range(self._search.paths)
        ]
        return Seen(*(np.stack(arrays) for arrays in zip(*parts, strict=True)))

    def _one(
        self,
        weights: Weights,
        inputs: Grids,
        labels: Grids,
        ids: NDArray[np.int32],
        places: Numbers,
        checkpoint: int,
        path: int,
    ) -> Seen:
        """Runs one trajectory of each question of the batch; arrays are [N, b]."""
        copy = np.full(len(inputs), path % self._search.copies)
        number = np.full(len(inputs), self._search.number(checkpoint, path))
        given = (weights, turn(self._symmetries, inputs, copy), ids, places, number)
        if not self.times:  # the first call compiles
            self._rollout(*given)
        start = time.perf_counter()
        done = self._rollout(*given)
        seconds = time.perf_counter() - start
        self.times.append(seconds / (self._rollout.steps * self.batch_size))
        answers = np.stack([turn_back(self._symmetries, a, copy) for a in done.predictions])
        exact, _ = compare(answers, labels)
        return Seen(selection.numbers_of(answers), done.halt_logits, exact)


def widths(most: int) -> list[int]:
    """The numbers of trajectories in a curve: powers of two up to `most`, and `most` itself."""
    return sorted({2**i for i in range(most.bit_length()) if 2**i <= most} | {most})


def _widths(seen: Seen) -> Iterable[tuple[tuple[Any, ...], NDArray[np.float64]]]:
    """Yields, for each rule and width, the number of correct answers after each step, [N]."""
    for width in widths(len(seen.exact)):
        exact = seen.exact[:width]
        paths = Trajectories(seen.answers[:width], seen.halt_logits[:width], np.zeros_like(exact))
        for name in ("halt", "majority"):
            right = selection.pick(exact, SELECTIONS[name](paths))
            yield (name, width), right.sum(axis=-1).astype(np.float64)
        yield ("mean", width), exact.mean(axis=0).sum(axis=-1)
        yield ("oracle", width), exact.any(axis=0).sum(axis=-1).astype(np.float64)


def _halting(seen: Seen) -> Iterable[tuple[tuple[Any, ...], NDArray[np.float64]]]:
    """Yields, for each halting rule, the number of correct answers and of steps, [2]."""
    answers, exact, logits = seen.answers[0], seen.exact[0], seen.halt_logits[0]
    depth = len(exact)
    steady = np.ones(exact.shape, bool)
    for patience in PATIENCES:
        if patience > 1:
            same = answers[patience - 1 :] == answers[: depth - patience + 1]
            steady[: patience - 1] = False
            steady[patience - 1 :] &= same
        for threshold in THRESHOLDS:
            stop = steady & (calibration.halting_probability(logits) > threshold)
            stop[-1] = True
            step = np.argmax(stop, axis=0)
            right = np.take_along_axis(exact, step[None], axis=0)[0]
            yield ("halting", 1, threshold, patience), np.asarray([right.sum(), (step + 1).sum()])


def _rows(sums: dict[tuple[Any, ...], NDArray[np.float64]], count: int) -> Iterable[Row]:
    for (rule, width, *halting), value in sums.items():
        row: Row = {"rule": rule, "width": width, "threshold": "", "patience": ""}
        if halting:
            right, steps = value / count
            row |= {"threshold": halting[0], "patience": halting[1], "depth": ""}
            yield row | {"exact_accuracy": float(right), "steps": float(steps)}
            continue
        for depth, right in enumerate((value / count).tolist(), 1):
            yield row | {"depth": depth, "exact_accuracy": right, "steps": float(depth * width)}


def _reliability(logits: NDArray[np.floating], exact: NDArray[np.bool_]) -> dict[str, Any]:
    counts, probability, right = calibration.reliability(logits, exact)
    some = np.maximum(counts, 1)
    found = calibration.summary(logits, exact)
    return {
        "count": counts.tolist(),
        "probability": (probability / some).tolist(),
        "exact_accuracy": (right / some).tolist(),
        "halt_auc": found["halt_auc"],
        "halt_error": found["halt_error"],
    }
