"""Traces of a trained model at work, ready to be shown."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from trm_jax.core.numerics import halting_probability
from trm_jax.core.symmetries import FIRST_DIGIT
from trm_jax.data.format import Dataset
from trm_jax.infer.rollout import Answers, Rollout
from trm_jax.infer.watch import BROKEN, CONFLICT, ENDED, GUESSED, SOLVED, Watched
from trm_jax.models.weights import Weights
from trm_jax.show.trace_page import Trace
from trm_jax.show.verdicts import Verdict, judge
from trm_jax.tasks.board import Board
from trm_jax.tasks.task import Shape, Tokens, task_of
from trm_jax.tasks.views import ask

MOST_RULES = 3
"""Rules that a verdict names."""

MOST_ROUNDS = 400
"""Rounds of a search that are shown."""

ENDS = {
    GUESSED: "goes on",
    CONFLICT: "conflict: starts again",
    SOLVED: "solved",
    BROKEN: "breaks a rule: starts again",
    ENDED: "too many rounds: starts again",
}


def trace_puzzles(
    rollout: Rollout,
    weights: Weights,
    shape: Shape,
    questions: Tokens,
    names: Sequence[str] = (),
) -> list[Trace]:
    """Watches a model of puzzles that stand alone.

    Args:
      rollout: of the model, with `confidence`.
      weights: of the model.
      shape: of its puzzles.
      questions: uint8 [m, S], m at least 1.
      names: of the puzzles; without any they are numbered.
    """
    answers = rollout(weights, questions)
    names = names or [f"puzzle {number}" for number in range(1, len(questions) + 1)]
    nothing = np.zeros_like(questions[0])
    return [
        trace(shape, name, question, nothing, _of(answers, place))
        for place, (name, question) in enumerate(zip(names, questions, strict=True))
    ]


def trace_groups(
    rollout: Rollout, weights: Weights, dataset: Dataset, max_tests: int
) -> list[Trace]:
    """Watches a model of named puzzles: the original copy of each test, which is one vote of many.

    Args:
      rollout: of the model, with `confidence`.
      weights: with a row of the table for each of the data set's rows, in its order.
      dataset: whose tests are shown.
      max_tests: tests at most; the first ones.
    """
    questions = ask(dataset, "test")
    places = np.arange(min(max_tests, len(questions)))
    inputs, labels, ids = questions.show(places)
    answers = rollout(weights, inputs, ids)
    puzzles = dataset.puzzles()[questions.examples[places]].tolist()
    traces = []
    for place, puzzle in enumerate(puzzles):
        name = f"{dataset.rows.names[puzzle]}, test {puzzles[:place].count(puzzle) + 1}"
        seen = _of(answers, place)
        traces.append(trace(dataset.manifest, name, inputs[place], labels[place], seen))
    return traces


def trace_chains(
    shape: Shape, questions: Tokens, watched: Sequence[Watched], names: Sequence[str] = ()
) -> list[Trace]:
    """Traces of a lattice model's chains.

    Args:
      shape: of the puzzles.
      questions: uint8 [m, S].
      watched: as many, from `infer.watch`.
      names: of the puzzles; without any they are numbered.
    """
    names = names or [f"puzzle {number}" for number in range(1, len(questions) + 1)]
    return [
        _trace_chain(shape, *each)
        for each in zip(names, questions, map(_cut, watched), strict=True)
    ]


def _cut(watched: Watched) -> Watched:
    """The first and the last rounds of a long search."""
    if len(watched.ends) <= MOST_ROUNDS:
        return watched
    half = MOST_ROUNDS // 2
    return Watched(*(np.concatenate([a[:half], a[-half:]]) for a in watched))


def _trace_chain(shape: Shape, name: str, question: Tokens, watched: Watched) -> Trace:
    task = task_of(shape)
    board = task.board(shape)
    form = (board.rows, board.columns)
    left = watched.candidates
    path = watched.path.reshape(-1, *form)
    solved = watched.ends == SOLVED
    return Trace(
        name=name,
        board=board,
        question=task.grid(shape, question),
        path=path,
        confidence=np.max(left, axis=-1).reshape(-1, *form),
        halting=watched.sound.astype(np.float64),
        right=[bool(s) for s in solved],
        verdict="solved" if solved[-1] else "UNSOLVED",
        candidates=left.reshape(-1, *form, left.shape[-1]),
        events=[_event(board, watched, number) for number in range(len(solved))],
        marked=[None if cell < 0 else int(cell) for cell in watched.cells],
    )


def _event(board: Board, watched: Watched, number: int) -> str:
    """How a round ended, in words."""
    end, cell = int(watched.ends[number]), int(watched.cells[number])
    if end != GUESSED or cell < 0:
        return ENDS[end]
    row, column = divmod(cell, board.columns)
    symbol = board.tokens[int(watched.symbols[number]) + FIRST_DIGIT].letter
    return f"guesses {symbol} in row {row + 1}, column {column + 1}"


def trace(shape: Shape, name: str, question: Tokens, label: Tokens, answers: Answers) -> Trace:
    """The trace of one puzzle; on a canvas, on a board as large as its largest grid.

    Args:
      shape: of the puzzle.
      name: of the puzzle.
      question: uint8 [S].
      label: uint8 [S], the answer; all 0 where it is not known.
      answers: to this question alone, [N, S] and [N].
    """
    task = task_of(shape)
    board, known = task.board(shape), bool(label.any())
    path = np.asarray(answers.predictions)
    verdicts = [judge(task, shape, question, tokens, label) for tokens in path]
    grids = [task.grid(shape, tokens) for tokens in (question, *path, label)]
    sizes = np.asarray([grid.shape for grid in grids], np.int64)
    rows, columns = sizes.max(axis=0).tolist()
    # what a model writes outside its grid is never scored, and means nothing
    framed = np.zeros((len(grids), rows, columns), np.uint8)
    within = np.zeros(framed.shape, bool)
    for grid, target, inside in zip(grids, framed, within, strict=True):
        target[: grid.shape[0], : grid.shape[1]] = grid
        inside[: grid.shape[0], : grid.shape[1]] = True
    confidence = np.asarray(answers.confidence).reshape(-1, board.rows, board.columns)
    return Trace(
        name=name,
        board=board,
        question=framed[0],
        path=framed[1:-1],
        confidence=confidence[:, :rows, :columns] * within[1:-1],
        halting=halting_probability(answers.halt_logits),
        right=[verdict.right for verdict in verdicts],
        verdict=_words(verdicts[-1]),
        answer=framed[-1] if known else None,
        sizes=sizes if board.canvas else None,
    )


def _words(verdict: Verdict) -> str:
    """A verdict as a reader wants it."""
    if verdict.right is None:
        return "the right answer is not known"
    if verdict.right:
        return "solved"
    reasons = verdict.broken[:MOST_RULES] or [verdict.differs]
    return f"NOT solved ({'; '.join(reasons)})"


def _of(answers: Answers, place: int) -> Answers:
    """The answers to one of the questions, without their axis."""
    arrays: list[NDArray] = [answers.predictions, answers.halt_logits, answers.confidence]
    return Answers(*(array[:, place] for array in arrays))
