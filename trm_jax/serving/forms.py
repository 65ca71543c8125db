"""Puzzles as people hold them, and answers likewise: text, arrays of digits or of characters."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trm_jax.core.errors import UserError
from trm_jax.core.symmetries import FIRST_DIGIT
from trm_jax.tasks.arc.read import read_tasks
from trm_jax.tasks.arc.records import Puzzle
from trm_jax.tasks.maze.maze import Maze
from trm_jax.tasks.sudoku.sudoku import Sudoku

UNNAMED = "task"


@dataclasses.dataclass(frozen=True, eq=False)
class Solved:
    """A model's answer to one puzzle, or to one test of an ARC task.

    Attributes:
      answer: [rows, columns]. Sudoku: int64 digits from 1, 0 where the model left a cell blank.
        Maze: characters '#', ' ', 'S', 'G', 'o' (the path). ARC: int64 colours 0 to 9, the first
        attempt.
      solved: whether it is right by the rules and the givens; for ARC, whether one of the two
        attempts is the test's output, None where nobody told it.
      steps: at which step the model first believed its answer; all steps where it never did. ARC:
        all steps.
      confidence: how sure it is after the last step, 0 to 1. ARC: None, as copies voted.
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


def as_texts(kind: Sudoku | Maze, grids: Any) -> list[str]:
    """Puzzles in any form as texts, which `solve.read_puzzles` checks.

    Args:
      kind: of the puzzles.
      grids: one puzzle or several: a text; an array [S] or [side, side], or the same as nested
        lists; or a list, or array, of those. A Sudoku's array holds digits, 0 being a blank; a
        maze's holds characters.

    Raises:
      UserError: there is something else.
    """
    if isinstance(grids, str):
        return [grids]
    if isinstance(grids, Sequence) and all(isinstance(grid, str) for grid in grids):
        whole = isinstance(kind, Maze) or any(len(grid) > 1 for grid in grids)
        if whole or len(grids) != kind.cells:
            return list(grids)
    try:
        array = np.asarray(grids)
    except ValueError:  # ragged
        array = np.zeros(0)
    shapes = ((kind.cells,), (kind.side, kind.side))
    if array.shape in shapes:
        array = array[None]
    if array.ndim < 2 or array.shape[1:] not in shapes:
        raise UserError(
            f"the puzzles are {_form(grids, array)}; give texts, or arrays of [{kind.cells}] or "
            f"[{kind.side}, {kind.side}] cells, one or many."
        )
    return [_text(kind, grid, n) for n, grid in enumerate(array.reshape(len(array), -1), 1)]


def _form(grids: Any, array: NDArray[Any]) -> str:
    shaped = array.size or isinstance(grids, np.ndarray)
    return (
        f"an array {list(array.shape)}" if shaped else f"a {type(grids).__name__} of unequal ones"
    )


def _text(kind: Sudoku | Maze, cells: NDArray[Any], number: int) -> str:
    if cells.dtype.kind == "U":
        return "".join(cells.tolist())
    if isinstance(kind, Maze):
        raise UserError(
            f"Puzzle {number} is an array of {cells.dtype}; a maze is text, or characters "
            "'#', '.', S and G."
        )
    if cells.dtype.kind not in "iu" or cells.min() < 0 or cells.max() > kind.side:
        raise UserError(
            f"Puzzle {number} has other cells than whole numbers 0 to {kind.side}; write digits, "
            "and 0 for a blank."
        )
    return kind.format_line((cells + (FIRST_DIGIT - 1)).astype(np.uint8))


def as_grid(kind: Sudoku | Maze, tokens: NDArray[np.uint8]) -> NDArray[Any]:
    """An answer's tokens [S] as `Solved.answer` has them, [side, side]."""
    square = tokens.reshape(kind.side, kind.side)
    if isinstance(kind, Maze):
        return np.asarray(list(kind.format_line(tokens))).reshape(square.shape)
    return np.maximum(square.astype(np.int64) - (FIRST_DIGIT - 1), 0)


def as_tasks(tasks: Any) -> list[Puzzle]:
    """ARC tasks in Kaggle's form: one `{"train": pairs, "test": pairs}`, or several by name.

    Raises:
      UserError: there is something else.
    """
    if not isinstance(tasks, Mapping):
        raise UserError(
            f"an ARC model solves tasks, and this is a {type(tasks).__name__}; give a dict "
            "{'train': pairs, 'test': pairs}, or such dicts by name."
        )
    single = "train" in tasks and "test" in tasks
    return read_tasks({UNNAMED: tasks} if single else tasks, "solve")
