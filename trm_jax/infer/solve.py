"""Answers to single puzzles: what `trm solve` does."""

import dataclasses
from collections.abc import Sequence

import jax
import numpy as np
from numpy.typing import NDArray

from trm_jax.core.errors import UserError
from trm_jax.data.views import kind_of
from trm_jax.infer.calibration import halting_probability
from trm_jax.infer.rollout import rollout
from trm_jax.tasks.maze.maze import Maze
from trm_jax.tasks.sudoku.generate import first_unsolvable
from trm_jax.tasks.sudoku.sudoku import Sudoku
from trm_jax.train.trained import Trained


@dataclasses.dataclass(frozen=True)
class Answer:
    """What the model makes of one puzzle.

    Attributes:
      question: uint8 [S], token ids.
      path: uint8 [N, S], its answer after each supervision step.
      confidence: float [N], halting probability after each step: its own belief to be right.
      steps: the step at which it first believed so (probability above one half); N if never.
      broken: the rules that the last answer breaks, in words; empty when it is a solution.
    """

    question: NDArray[np.uint8]
    path: NDArray[np.uint8]
    confidence: NDArray[np.floating]
    steps: int
    broken: list[str]

    @property
    def answer(self) -> NDArray[np.uint8]:
        """uint8 [S], after the last step."""
        return self.path[-1]


def read_puzzles(kind: Sudoku | Maze, texts: Sequence[str]) -> NDArray[np.uint8]:
    """Parses and checks puzzles.

    Args:
      kind: that the model knows.
      texts: one puzzle each.

    Returns:
      uint8 [m, S] token ids.

    Raises:
      UserError: a puzzle is malformed, contradicts itself, or has no solution.
    """
    if not texts:
        raise UserError("There is no puzzle to solve; give one as an argument, a file, or '-'.")
    questions = []
    for number, text in enumerate(texts, start=1):
        try:
            question = kind.parse(text)
        except UserError as error:
            raise UserError(f"Puzzle {number}: {error}") from error
        contradiction = kind.check_question(question)
        if contradiction:
            raise UserError(f"Puzzle {number} contradicts itself: {contradiction}.")
        questions.append(question)
    # a maze without a path contradicts itself; a Sudoku takes more than a look
    unsolvable = None
    if isinstance(kind, Sudoku):
        unsolvable = first_unsolvable(kind, np.stack(questions))
    if unsolvable is not None:
        raise UserError(f"Puzzle {unsolvable + 1} has no solution; check its givens.")
    return np.stack(questions)


def solve(trained: Trained, questions: NDArray[np.uint8], steps: int) -> list[Answer]:
    """Runs the model on questions of the kind that it was trained on.

    Args:
      trained: see `trained.load`.
      questions: uint8 [m, S].
      steps: supervision steps.

    Returns:
      One answer for each question, in order, checked by the rules and the givens.
    """
    kind = kind_of(trained.manifest)
    mesh = trained.mesh
    run = jax.jit(lambda weights, i, p: rollout(trained.model, weights, i, p, steps, mesh))
    size = min(len(questions), trained.experiment.eval_batch_size)
    answers = []
    for first in range(0, len(questions), size):
        part = questions[first : first + size]
        # of one size, so that the program is compiled once
        inputs = np.pad(part, ((0, size - len(part)), (0, 0)), mode="edge").astype(np.int32)
        result = jax.device_get(run(trained.weights, inputs, np.zeros(size, np.int32)))
        confidence = halting_probability(result.halt_logits)
        for i, question in enumerate(part):
            answers.append(_answer(kind, question, result.predictions[:, i], confidence[:, i]))
    return answers


def _answer(
    kind: Sudoku | Maze,
    question: NDArray[np.uint8],
    path: NDArray[np.uint8],
    confidence: NDArray[np.floating],
) -> Answer:
    believed = np.flatnonzero(confidence > 0.5)
    return Answer(
        question=question,
        path=path,
        confidence=confidence,
        steps=int(believed[0]) + 1 if len(believed) else len(path),
        broken=kind.check_answer(question, path[-1]),
    )
