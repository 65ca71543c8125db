"""Boards of puzzles with what is said of them, to be drawn in a picture or in a terminal."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from trm_jax.tasks.board import Board, Grid

Cells = NDArray[np.bool_]
"""Some of the cells of a grid, bool [rows, columns]."""


class Panel(NamedTuple):
    """One board and what is said of it.

    Attributes:
      title: in a word or two.
      board: uint8 [rows, columns]; None where it is not known.
      question: of the same shape, which the board answers; None where it answers none, and where
        questions and answers are grids of different sizes.
      answer: with which a wrong prediction is compared.
      right: whether a prediction is; None where that is not known, and on what is no prediction.
      remark: how it is wrong, in few words.
      confidence: the halting probability of a prediction.
    """

    title: str
    board: Grid | None
    question: Grid | None = None
    answer: Grid | None = None
    right: bool | None = None
    remark: str = ""
    confidence: float | None = None

    def caption(self) -> list[str]:
        """The title and the verdict, in lines to be put above the board."""
        mark = {None: "", True: " ✓", False: " ✗"}[self.right]
        confidence = "" if self.confidence is None else f"confidence: {self.confidence:.1%}"
        return list(filter(None, [self.title + mark, self.remark, confidence]))

    def wrong_cells(self) -> Cells | None:
        """Where a prediction differs from the answer, of the board's shape.

        None where there is nothing to compare; pads (token 0) of an answer are not scored.
        """
        if self.board is None or self.answer is None or self.board.shape != self.answer.shape:
            return None
        return (self.board != self.answer) & (self.answer > 0)


class Exhibit(NamedTuple):
    """A puzzle in groups of boards that belong together: a pair of a canvas', or all there is.

    The first groups, `demonstrations` of them, show how it is done.
    """

    title: str
    groups: list[list[Panel]]
    demonstrations: int = 0


def given_cells(board: Board, question: Grid | None, grid: Grid) -> Cells:
    """The cells of a grid that its question fixes; none where the two are not alike in shape."""
    if board.canvas or question is None or question.shape != grid.shape:
        return np.zeros(grid.shape, bool)
    return board.given(question)


def mistaken_cells(board: Board, panel: Panel) -> Cells:
    """The cells of a known board that differ from the answer, or that the question fixes.

    The latter are mistakes even where the answer is not known.
    """
    assert panel.board is not None
    wrong = panel.wrong_cells()
    mistaken = np.zeros(panel.board.shape, bool) if wrong is None else wrong
    given = given_cells(board, panel.question, panel.board)
    return mistaken | given & (panel.board != panel.question) if given.any() else mistaken
