"""Puzzles that people give, read and checked one by one, with their number in every complaint."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from trm_jax.core.errors import UserError
from trm_jax.tasks.task import Shape, Tokens, task_of


def read_puzzles(shape: Shape, texts: Sequence[str]) -> Tokens:
    """Parses and checks puzzles.

    Args:
      shape: of the puzzles that a model knows.
      texts: one puzzle each.

    Returns:
      uint8 [m, S] token ids.

    Raises:
      UserError: a puzzle is malformed, contradicts itself, or has no solution.
    """
    task = task_of(shape)
    if task.symbols(shape) is None:
        task.lacks("puzzles of text", "give a file")
    return checked(shape, read_each(lambda text: task.read(shape, text), texts))


def read_each(read: Callable[[Any], Tokens], puzzles: Sequence[Any]) -> Tokens:
    """Reads puzzles.

    Raises:
      UserError: one is malformed, or there are none.
    """
    if not len(puzzles):
        raise UserError("There is no puzzle to solve; give one as an argument, a file, or '-'.")
    questions = []
    for number, puzzle in enumerate(puzzles, start=1):
        try:
            questions.append(read(puzzle))
        except UserError as error:
            raise UserError(f"Puzzle {number}: {error}") from error
    return np.stack(questions)


def checked(shape: Shape, questions: Tokens) -> Tokens:
    """The same questions [m, S].

    Raises:
      UserError: one contradicts itself or has no solution.
    """
    found = task_of(shape).first_unsolvable(shape, questions)
    if found:
        raise UserError(f"Puzzle {found[0] + 1} {found[1].rstrip('.')}.")
    return questions
