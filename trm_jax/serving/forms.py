"""Puzzles as people hold them, and answers likewise: text, arrays of digits or of characters."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trm_jax.core.errors import UserError
from trm_jax.tasks.task import Shape, Tokens, task_of
from trm_jax.tasks.texts import checked, read_each


@dataclasses.dataclass(frozen=True, eq=False)
class Solved:
    """A model's answer to one puzzle, or to one test of a puzzle with demonstrations (ARC).

    Attributes:
      answer: [rows, columns]. Sudoku: int64 digits from 1, 0 where the model left a cell blank.
        Maze: characters '#', ' ', 'S', 'G', 'o' (the path). ARC: int64 colours 0 to 9, the first
        attempt. Other tasks: characters, or what the task makes of it.
      solved: whether it is right by the rules and the givens; for ARC, whether one of the two
        attempts is the test's output. None where neither is known.
      steps: the first step after which the model was confident of its answer; all steps where it
        never was. ARC: all steps.
      confidence: halting probability after the last step, 0 to 1. ARC: None, as copies voted.
      broken: the rules that the answer breaks, in words; none for ARC.
      text: the answer as one line; for ARC none.
      name: of the ARC task; else none.
      second: ARC: the second attempt; else None.
    """

    answer: NDArray[Any]
    solved: bool | None
    steps: int
    confidence: float | None = None
    broken: tuple[str, ...] = ()
    text: str = ""
    name: str = ""
    second: NDArray[Any] | None = None


def as_questions(shape: Shape, puzzles: Any) -> Tokens:
    """Puzzles in any form, read and checked.

    Args:
      shape: of the puzzles.
      puzzles: one or several: a text; an array [S] or [rows, columns], or the same as nested lists;
        or a list, or array, of those. What an array holds is the task's business: of a Sudoku
        digits, 0 being a blank, or characters; of a maze characters.

    Returns:
      uint8 [m, S].

    Raises:
      UserError: there is something else, or a puzzle is malformed or cannot be solved.
    """
    task = task_of(shape)
    board = task.board(shape)
    cells = board.rows * board.columns
    if isinstance(puzzles, str):
        puzzles = [puzzles]
    if board.canvas and (grids := _grids(puzzles)):
        return checked(shape, read_each(lambda each: task.read_array(shape, each), grids))
    if isinstance(puzzles, Sequence) and all(isinstance(puzzle, str) for puzzle in puzzles):
        whole = len(puzzles) != cells or any(len(puzzle) > 1 for puzzle in puzzles)
        if whole:
            return checked(shape, read_each(lambda text: task.read(shape, text), puzzles))
    try:
        array = np.asarray(puzzles)
    except ValueError:  # ragged
        array = np.zeros(0)
    shapes = ((cells,), (board.rows, board.columns))
    if array.shape in shapes:
        array = array[None]
    if array.ndim < 2 or array.shape[1:] not in shapes:
        raise UserError(
            f"the puzzles are {_form(puzzles, array)}; give texts, or arrays of [{cells}] or "
            f"[{board.rows}, {board.columns}] cells, one or many."
        )
    flat = list(array.reshape(len(array), -1))
    return checked(shape, read_each(lambda each: task.read_array(shape, each), flat))


def _grids(puzzles: Any) -> list[NDArray[Any]]:
    """Grids of different sizes, one or several, as arrays [rows, columns]; none if they are not."""
    for grids in (puzzles, [puzzles]):
        try:
            found = [np.asarray(grid) for grid in grids]
        except (ValueError, TypeError):  # ragged, or nothing to go through
            continue
        if found and all(grid.ndim == 2 for grid in found):
            return found
    return []


def _form(puzzles: Any, array: NDArray[Any]) -> str:
    if array.size or isinstance(puzzles, np.ndarray):
        return f"an array {list(array.shape)}"
    return f"a {type(puzzles).__name__} of unequal ones"
