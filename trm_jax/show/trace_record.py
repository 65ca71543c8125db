"""Records traces: a trained model's answers after every step."""

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

MAX_RULES = 3
"""Maximum number of broken rules that a verdict names."""

MAX_ROUNDS = 400
"""Maximum number of rounds of a search that are shown."""

ENDS = {
    GUESSED: "continues",
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
    """Traces of puzzles without demonstrations.

    Args:
      rollout: rollout of the model, with `confidence`.
      weights: weights of the model.
      shape: shape of its puzzles.
      questions: uint8 [m, S], token ids; m at least 1.
      names: names of the puzzles; by default they are numbered.
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
    """Traces of the tests of puzzles with demonstrations.

    Only the original copy of each test is shown, whose answer is one vote of many.

    Args:
      rollout: rollout of the model, with `confidence`.
      weights: weights with one table row for each of the dataset's rows, in the same order.
      dataset: the dataset of the tests.
      max_tests: maximum number of tests: the first ones.
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
      shape: shape of the puzzles.
      questions: uint8 [m, S], token ids.
      watched: the chains of each of the m questions, from `infer.watch`.
      names: names of the puzzles; by default they are numbered.
    """
    names = names or [f"puzzle {number}" for number in range(1, len(questions) + 1)]
    return [
        _trace_chain(shape, *each)
        for each in zip(names, questions, map(_cut, watched), strict=True)
    ]


def _cut(watched: Watched) -> Watched:
    """The first and the last rounds of a long search."""
    if len(watched.ends) <= MAX_ROUNDS:
        return watched
    half = MAX_ROUNDS // 2
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
    """A description of how a round ended."""
    end, cell = int(watched.ends[number]), int(watched.cells[number])
    if end != GUESSED or cell < 0:
        return ENDS[end]
    row, column = divmod(cell, board.columns)
    symbol = board.tokens[int(watched.symbols[number]) + FIRST_DIGIT].letter
    return f"guesses {symbol} in row {row + 1}, column {column + 1}"


def trace(shape: Shape, name: str, question: Tokens, label: Tokens, answers: Answers) -> Trace:
    """The trace of one puzzle.

    If grids differ in size, the board is as large as the largest of them.

    Args:
      shape: shape of the puzzle.
      name: name of the puzzle.
      question: uint8 [S], token ids.
      label: uint8 [S], the correct answer; all 0 if it is unknown.
      answers: answers to this question alone, arrays [N, S] and [N].
    """
    task = task_of(shape)
    board, known = task.board(shape), bool(label.any())
    path = np.asarray(answers.predictions)
    verdicts = [judge(task, shape, question, tokens, label) for tokens in path]
    grids = [task.grid(shape, tokens) for tokens in (question, *path, label)]
    sizes = np.asarray([grid.shape for grid in grids], np.int64)
    rows, columns = sizes.max(axis=0).tolist()
    # predictions outside the grid are not scored and carry no meaning
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
    """A verdict in words."""
    if verdict.right is None:
        return "the correct answer is unknown"
    if verdict.right:
        return "solved"
    reasons = verdict.broken[:MAX_RULES] or [verdict.differs]
    return f"NOT solved ({'; '.join(reasons)})"


def _of(answers: Answers, place: int) -> Answers:
    """The answers to one question, without the batch axis."""
    arrays: list[NDArray] = [answers.predictions, answers.halt_logits, answers.confidence]
    return Answers(*(array[:, place] for array in arrays))
