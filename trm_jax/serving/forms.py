"""Input and output formats of the Python API: text, and arrays of digits or of characters."""

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
      answer: [rows, columns]. Sudoku: int64 digits from 1; 0 for a cell that the model left blank.
        Maze: characters '#', ' ', 'S', 'G' and 'o' (the path). ARC: int64 colours 0 to 9 of the
        first attempt. Other tasks: characters, or the task's own format.
      solved: whether the answer satisfies the rules and the givens; for ARC, whether one of the two
        attempts is the test's output. None if that is unknown.
      steps: the first step at which the model was confident, or the number of all steps if it never
        was. ARC: the number of all steps.
      confidence: halting probability after the last step, 0 to 1. ARC: None, since copies vote.
      broken: descriptions of the rules that the answer breaks; empty for ARC.
      text: the answer in one line; empty for ARC.
      name: name of the ARC task; empty for other tasks.
      second: the second attempt for ARC; None for other tasks.
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
    """Reads and checks puzzles.

    Args:
      shape: form of the puzzles.
      puzzles: one puzzle or several: a text; an array [S] or [rows, columns], or the same as nested
        lists; or a list or array of these. Arrays have digits (0 for a blank) or characters for a
        Sudoku, symbols or integers for pairs of grids, and characters for other tasks.

    Returns:
      Token ids, uint8 [m, S].

    Raises:
      UserError: the argument has another form, or a puzzle is malformed or has no solution.
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
    if array.shape != (0,) or isinstance(puzzles, np.ndarray):
        return f"an array {list(array.shape)}"
    return f"a {type(puzzles).__name__} of elements with different shapes"
