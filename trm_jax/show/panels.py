"""Boards of puzzles with what is said of them, to be drawn in a picture or in a terminal."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from trm_jax.tasks.maze.maze import Maze
from trm_jax.tasks.sudoku.sudoku import Sudoku

Board = NDArray[np.uint8]
"""ARC: colours [rows, columns]; other puzzles: tokens [S]."""
Kind = Sudoku | Maze | None
"""Of puzzle; None is ARC's, whose boards need nothing to be drawn."""


class Panel(NamedTuple):
    """One board and what is said of it.

    Attributes:
        title: in a word or two.
        board: None where nobody knows it.
        question: which a Sudoku's or maze's board answers.
        answer: with which a wrong prediction is compared.
        right: whether a prediction is; None where nobody knows, and on what is no prediction.
        remark: how it is wrong, in few words.
        sure: the halting probability of a prediction.
    """

    title: str
    board: Board | None
    question: Board | None = None
    answer: Board | None = None
    right: bool | None = None
    remark: str = ""
    sure: float | None = None

    def caption(self) -> list[str]:
        """The title and the verdict, in lines to be put above the board."""
        mark = {None: "", True: " ✓", False: " ✗"}[self.right]
        sure = "" if self.sure is None else f"sure: {self.sure:.1%}"
        return list(filter(None, [self.title + mark, self.remark, sure]))

    def wrong_cells(self) -> NDArray[np.bool_] | None:
        """Where a prediction differs from the answer, of the board's shape; None if nowhere."""
        if self.board is None or self.answer is None or self.board.shape != self.answer.shape:
            return None
        return self.board != self.answer


class Exhibit(NamedTuple):
    """A puzzle in groups of boards that belong together: a pair of ARC's, or all there is.

    The first groups, `demonstrations` of them, show how it is done.
    """

    title: str
    groups: list[list[Panel]]
    demonstrations: int = 0
