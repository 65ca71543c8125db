"""Traces of a trained model at work, ready to be shown."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np
from numpy.typing import NDArray

from trm_jax.core.numerics import halting_probability
from trm_jax.data.format import Dataset
from trm_jax.data.questions import ask
from trm_jax.data.views import kind_of, task_numbers
from trm_jax.infer.trace_rollout import watch
from trm_jax.models.weights import Weights
from trm_jax.show.panels import Board
from trm_jax.show.trace_page import Trace
from trm_jax.tasks.arc.canvas import sizes
from trm_jax.tasks.maze.maze import Maze
from trm_jax.tasks.sudoku.sudoku import Sudoku
from trm_jax.train.trained import Trained


class Seen(NamedTuple):
    """What is seen of m questions, as `trace_rollout.Watched` says it; or of one, without m.

    Attributes:
        answers: uint8 [N, m, S].
        confidence: float16 [N, m, S].
        halt_logits: float32 [N, m].
    """

    answers: NDArray[np.uint8]
    confidence: NDArray[np.float16]
    halt_logits: NDArray[np.float32]

    def of(self, place: int) -> "Seen":
        """What is seen of one question."""
        one = (slice(None), place)
        return Seen(self.answers[one], self.confidence[one], self.halt_logits[one])


def trace_puzzles(
    trained: Trained, questions: NDArray[np.uint8], steps: int, names: Sequence[str] = ()
) -> list[Trace]:
    """Watches a model of Sudokus or mazes.

    Args:
        trained: see `trained.load`.
        questions: uint8 [m, S], m at least 1.
        steps: supervision steps.
        names: of the puzzles; without any they are numbered.
    """
    kind = kind_of(trained.manifest)
    seen = _watch(trained, trained.weights, questions, np.zeros(len(questions), np.int32), steps)
    names = names or [f"puzzle {number}" for number in range(1, len(questions) + 1)]
    return [
        _puzzle(kind, name, question, seen.of(i))
        for i, (name, question) in enumerate(zip(names, questions, strict=True))
    ]


def trace_tasks(
    trained: Trained, weights: Weights, dataset: Dataset, steps: int, most: int
) -> list[Trace]:
    """Watches a model of ARC: the original copy of each test, which is one vote of many.

    Args:
        trained: on ARC.
        weights: with a row of the table for each of the data set's rows, in its order.
        dataset: whose tests are shown.
        steps: supervision steps.
        most: tests at most.
    """
    questions = ask(dataset, "test")
    places = np.arange(min(most, len(questions)))
    inputs, labels, ids = questions.show(places)
    seen = _watch(trained, weights, inputs, ids, steps)
    traces = []
    tasks = task_numbers(dataset)[questions.examples[places]].tolist()
    for i, task in enumerate(tasks):
        name = f"{dataset.rows.tasks[task]}, test {tasks[:i].count(task) + 1}"
        traces.append(arc_trace(name, inputs[i], labels[i], seen.of(i)))
    return traces


def arc_trace(name: str, question: Board, label: Board, seen: Seen) -> Trace:
    """The trace of one ARC test, on a board as large as its largest grid; pads lie around others.

    Args:
        name: of the test.
        question: uint8 [S], a canvas.
        label: uint8 [S], the answer's canvas; all 0 where nobody knows it.
        seen: of this test alone, [N, S] and [N].
    """
    boards = np.concatenate([question[None], seen.answers, label[None]])
    grids = np.stack(sizes(boards), axis=1)
    rows, columns = grids.max(axis=0).tolist()
    side = int(len(question) ** 0.5)

    def cut(canvases: NDArray) -> NDArray:
        return canvases.reshape(-1, side, side)[:, :rows, :columns]

    line = np.arange(side)
    within = (line[:, None] < grids[:, :1, None]) & (line < grids[:, 1:, None])
    # what a model writes outside its grid is never scored, and means nothing
    cropped = cut(boards * within.reshape(boards.shape))
    known = bool(label.any())
    wrong = [
        _wrong(board, size, cropped[-1], grids[-1])
        for board, size in zip(cropped[1:-1], grids[1:-1], strict=True)
    ]
    right = [not words for words in wrong] if known else [None] * len(wrong)
    verdict = "nobody told the answer"
    if known:
        verdict = f"NOT solved ({wrong[-1]})" if wrong[-1] else "solved"
    return Trace(
        name=name,
        kind=None,
        question=cropped[0],
        path=cropped[1:-1],
        confidence=cut(seen.confidence * within[1:-1].reshape(seen.confidence.shape)),
        halting=halting_probability(seen.halt_logits),
        right=right,
        verdict=verdict,
        answer=cropped[-1] if known else None,
        sizes=grids,
    )


def _wrong(board: Board, size: NDArray[np.int64], answer: Board, wanted: NDArray[np.int64]) -> str:
    """How a grid of a size in the corner of a board differs from the answer; "" if it does not."""
    if not size.all():
        return "no grid"
    if (size != wanted).any():
        return f"{size[0]}x{size[1]}, not {wanted[0]}x{wanted[1]}"
    count = int((board != answer)[: size[0], : size[1]].sum())
    return f"{count} cell{'s' if count > 1 else ''} wrong" if count else ""


def _puzzle(kind: Sudoku | Maze, name: str, question: Board, seen: Seen) -> Trace:
    side = kind.side
    broken = [kind.check_answer(question, answer) for answer in seen.answers]
    return Trace(
        name=name,
        kind=kind,
        question=question.reshape(side, side),
        path=seen.answers.reshape(-1, side, side),
        confidence=seen.confidence.reshape(-1, side, side),
        halting=halting_probability(seen.halt_logits),
        right=[not rules for rules in broken],
        verdict=f"NOT solved ({'; '.join(broken[-1][:3])})" if broken[-1] else "solved",
    )


def _watch(
    trained: Trained,
    weights: Weights,
    questions: NDArray[np.uint8],
    ids: NDArray[np.int32],
    steps: int,
) -> Seen:
    """Watches questions [m, S] with rows [m] of the table."""
    model, mesh = trained.model, trained.mesh
    run = jax.jit(lambda w, inputs, rows: watch(model, w, inputs, rows, steps, mesh))
    size = min(len(questions), trained.experiment.eval_batch_size)
    parts = []
    for first in range(0, len(questions), size):
        # of one size, so that the program is compiled once
        places = np.minimum(np.arange(first, first + size), len(questions) - 1)
        inputs = questions[places].astype(np.int32)
        seen = run(weights, inputs, ids[places].astype(np.int32))
        parts.append(jax.device_get((seen.answers, seen.confidence, seen.halt_logits)))
    columns = zip(*parts, strict=True)
    return Seen(*(np.concatenate(column, axis=1)[:, : len(questions)] for column in columns))
