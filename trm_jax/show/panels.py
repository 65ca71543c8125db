"""Boards with captions and verdicts, independent of whether a picture or a terminal shows them."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from trm_jax.tasks.board import Board, Grid

Cells = NDArray[np.bool_]
"""A subset of the cells of a grid, bool [rows, columns]."""


class Panel(NamedTuple):
    """One board with its caption.

    Attributes:
      title: one or two words.
      board: uint8 [rows, columns]; None if it is unknown.
      question: uint8 [rows, columns], the question that the board answers; None if there is none,
        and for tasks whose questions and answers have different sizes.
      answer: the correct answer that a wrong prediction is compared with.
      right: whether a prediction is correct; None if that is unknown or this is not a prediction.
      remark: a short description of what is wrong.
      confidence: halting probability of a prediction.
    """

    title: str
    board: Grid | None
    question: Grid | None = None
    answer: Grid | None = None
    right: bool | None = None
    remark: str = ""
    confidence: float | None = None

    def caption(self) -> list[str]:
        """The lines above the board: title with verdict, remark, confidence."""
        mark = {None: "", True: " ✓", False: " ✗"}[self.right]
        confidence = "" if self.confidence is None else f"confidence: {self.confidence:.1%}"
        return list(filter(None, [self.title + mark, self.remark, confidence]))

    def wrong_cells(self) -> Cells | None:
        """Cells in which a prediction differs from the answer; padding (token 0) is not compared.

        Returns:
          bool [rows, columns]; None if there is no answer, or it has a different shape.
        """
        if self.board is None or self.answer is None or self.board.shape != self.answer.shape:
            return None
        return (self.board != self.answer) & (self.answer > 0)


class Exhibit(NamedTuple):
    """A puzzle as groups of boards that are drawn together.

    Attributes:
      title: name of the puzzle.
      groups: one group per pair for puzzles with demonstrations, otherwise a single group.
      demonstrations: number of groups, the first ones, that are demonstrations.
    """

    title: str
    groups: list[list[Panel]]
    demonstrations: int = 0


def given_cells(board: Board, question: Grid | None, grid: Grid) -> Cells:
    """The cells of a grid that its question fixes; none if their shapes differ."""
    if board.canvas or question is None or question.shape != grid.shape:
        return np.zeros(grid.shape, bool)
    return board.given(question)


def mistaken_cells(board: Board, panel: Panel) -> Cells:
    """The cells of a board that differ from the answer or from the question's givens.

    Changed givens are mistakes even if the answer is unknown.
    """
    assert panel.board is not None
    wrong = panel.wrong_cells()
    mistaken = np.zeros(panel.board.shape, bool) if wrong is None else wrong
    given = given_cells(board, panel.question, panel.board)
    return mistaken | given & (panel.board != panel.question) if given.any() else mistaken
