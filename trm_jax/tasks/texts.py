"""Reads and checks puzzles of users; every error names the puzzle's place."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from trm_jax.core.errors import UserError
from trm_jax.tasks.given import BadLineError
from trm_jax.tasks.task import Shape, Tokens, task_of


class Source(NamedTuple):
    """A text with puzzles, and the name of its file; empty if it was typed."""

    text: str
    file: str = ""


class Puzzles(NamedTuple):
    """The puzzles of several texts.

    Attributes:
      questions: uint8 [m, S], token ids.
      notes: remarks on texts that were read in an unusual way, with their places.
    """

    questions: Tokens
    notes: list[str]


def read_puzzles(shape: Shape, sources: Sequence[Source]) -> Puzzles:
    """Parses and checks puzzles.

    Args:
      shape: form of the puzzles that the model was trained on.
      sources: texts with any number of puzzles each.

    Raises:
      UserError: a puzzle is malformed, contradictory or without a solution, or there is none.
    """
    task = task_of(shape)
    if task.symbols(shape) is None:
        task.lacks("puzzles of text", "give a file")
    questions: list[Tokens] = []
    places: list[str] = []
    notes: list[str] = []
    for text, file in sources:
        try:
            found = task.read_all(shape, text)
        except BadLineError as error:
            if file:
                raise UserError(f"{file}, line {error.line}: {error.reason}") from error
            raise UserError(f"Puzzle {len(questions) + 1}: {error}") from error
        except UserError as error:
            raise UserError(f"{file or f'Puzzle {len(questions) + 1}'}: {error}") from error
        if not found and file:
            raise UserError(f"{file} holds no puzzle; give a file with puzzles as text.")
        for given in found:
            questions.append(given.tokens)
            places.append(
                f"{file}, line {given.line}: the puzzle" if file else f"Puzzle {len(questions)}"
            )
        said = [given for given in found if given.note]
        notes += [f"{file or 'puzzle'}, line {said[0].line}: {said[0].note}"] if said else []
    if not questions:
        raise _nothing()
    stacked = np.stack(questions)
    wrong = task.first_unsolvable(shape, stacked)
    if wrong:
        raise UserError(f"{places[wrong[0]]} {wrong[1].rstrip('.')}.")
    return Puzzles(stacked, notes)


def read_each(read: Callable[[Any], Tokens], puzzles: Sequence[Any]) -> Tokens:
    """Reads puzzles with the function `read`; returns tokens uint8 [m, S].

    Raises:
      UserError: a puzzle is malformed, or there is none.
    """
    if not len(puzzles):
        raise _nothing()
    questions = []
    for number, puzzle in enumerate(puzzles, start=1):
        try:
            questions.append(read(puzzle))
        except UserError as error:
            raise UserError(f"Puzzle {number}: {error}") from error
    return np.stack(questions)


def checked(shape: Shape, questions: Tokens) -> Tokens:
    """Checks questions [m, S] and returns them.

    Raises:
      UserError: a question is contradictory or has no solution.
    """
    found = task_of(shape).first_unsolvable(shape, questions)
    if found:
        raise UserError(f"Puzzle {found[0] + 1} {found[1].rstrip('.')}.")
    return questions


def _nothing() -> UserError:
    return UserError("There is no puzzle to solve; give one as an argument, a file, or '-'.")
