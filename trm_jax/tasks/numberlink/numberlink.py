"""Tokens and rules of Numberlink on a square grid.

The two given cells of each letter are the ends of a path of this letter, and the paths fill the
grid. No path touches itself: each of its ends has one neighbour with the same letter, and each of
its other cells two.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trm_jax.core.errors import UserError
from trm_jax.core.symmetries import FIRST_DIGIT

BLANK = 1
LETTERS = "ABCDEFGHIJKL"
MIN_SIDE, MAX_SIDE = 3, 20

Tokens = NDArray[np.uint8]
Cells = NDArray[np.bool_]


@dataclasses.dataclass(frozen=True)
class Numberlink:
    """Puzzles of `side` x `side` cells with up to `letters` pairs.

    Token ids: 0 padding, 1 blank, letters from FIRST_DIGIT.

    Attributes:
      side: number of rows and columns.
      letters: maximum number of pairs of letters in a puzzle.
    """

    side: int
    letters: int

    def __post_init__(self) -> None:
        """Checks side and letters.

        Raises:
          UserError: one is out of range.
        """
        if not MIN_SIDE <= self.side <= MAX_SIDE or not 1 <= self.letters <= len(LETTERS):
            raise UserError(
                f"side is {self.side} and letters {self.letters}; a Numberlink here has "
                f"{MIN_SIDE} to {MAX_SIDE} rows and 1 to {len(LETTERS)} letters."
            )

    @classmethod
    def from_manifest(cls, manifest: Mapping[str, Any]) -> "Numberlink":
        """The puzzle of a dataset's manifest.

        Raises:
          UserError: the manifest has no valid side and letters.
        """
        side, letters = manifest.get("side"), manifest.get("letters")
        if type(side) is not int or type(letters) is not int:
            raise UserError(
                f"the dataset's manifest has side {side!r} and letters {letters!r}; a Numberlink "
                "needs whole numbers, for example 5 and 5."
            )
        return cls(side, letters)

    @property
    def cells(self) -> int:
        """Number of cells of the grid (S)."""
        return self.side**2

    @property
    def vocab(self) -> int:
        """Number of token ids (V)."""
        return FIRST_DIGIT + self.letters

    def neighbours(self) -> list[list[int]]:
        """The two to four neighbours of each cell."""
        side = self.side
        return [
            [
                row * side + column
                for row, column in ((r - 1, c), (r + 1, c), (r, c - 1), (r, c + 1))
                if 0 <= row < side and 0 <= column < side
            ]
            for r, c in (divmod(cell, side) for cell in range(self.cells))
        ]

    def alike(self, grids: Tokens) -> NDArray[np.int64]:
        """Number of neighbours with the same token, for each cell of grids [B, S]; int64 [B, S]."""
        squares = grids.reshape(-1, self.side, self.side)
        found = np.zeros(squares.shape, np.int64)
        down = squares[:, 1:] == squares[:, :-1]
        across = squares[:, :, 1:] == squares[:, :, :-1]
        found[:, 1:] += down
        found[:, :-1] += down
        found[:, :, 1:] += across
        found[:, :, :-1] += across
        return found.reshape(grids.shape)

    def reached(self, grids: Tokens, starts: Cells) -> Cells:
        """Cells that are connected to `starts` by cells with the same token, bool [B, S]."""
        squares = grids.reshape(-1, self.side, self.side)
        down = squares[:, 1:] == squares[:, :-1]
        across = squares[:, :, 1:] == squares[:, :, :-1]
        found = starts.reshape(squares.shape).copy()
        before = -1
        while (now := int(found.sum())) != before:
            before = now
            found[:, 1:] |= found[:, :-1] & down
            found[:, :-1] |= found[:, 1:] & down
            found[:, :, 1:] |= found[:, :, :-1] & across
            found[:, :, :-1] |= found[:, :, 1:] & across
        return found.reshape(grids.shape)

    def accepts(self, questions: Tokens, answers: Tokens) -> Cells:
        """Whether answers [B, S] to questions [B, S] satisfy all rules, bool [B]."""
        ends = questions >= FIRST_DIGIT
        kept = (~ends | (questions == answers)) & (answers >= FIRST_DIGIT)
        # a cell that no end reaches is on a loop, whose cells have two neighbours each as well
        good = (self.alike(answers) == 2 - ends) & self.reached(answers, ends)
        return (kept & good).all(1)

    def check_question(self, question: Tokens) -> str | None:
        """Why the letters of a question [S] cannot be joined, as text; None if nothing is wrong."""
        times = np.bincount(question, minlength=self.vocab)[FIRST_DIGIT:]
        for letter, count in zip(LETTERS, times.tolist(), strict=False):
            if count not in (0, 2):
                once = "once" if count == 1 else f"{count} times"
                return f"letter {letter} appears {once}, and must appear twice"
        return None if times.any() else "there is no letter"

    def check_answer(self, question: Tokens, answer: Tokens) -> list[str]:
        """The rules that an answer [S] to a question [S] breaks, as text; empty if it is right."""
        broken = []
        blanks = int((answer < FIRST_DIGIT).sum())
        if blanks:
            broken.append(f"{blanks} cell{'s are' if blanks > 1 else ' is'} without a letter")
        ends = question >= FIRST_DIGIT
        for cell in np.flatnonzero(ends & (question != answer)).tolist():
            before, after = (self.written(int(tokens[cell])) for tokens in (question, answer))
            broken.append(f"the given {before} in {self._where(cell)} became {after}")
        alike = self.alike(answer[None])[0]
        reached = self.reached(answer[None], ends[None])[0]
        letters = answer >= FIRST_DIGIT
        for token in np.unique(answer[letters]).tolist():
            name, own = LETTERS[token - FIRST_DIGIT], answer == token
            if not (question == token).any():
                broken.append(f"letter {name} is not in the question")
                continue
            for where, words in (
                (own & ~ends & (alike < 2) & reached, "breaks off"),
                (own & (alike > 2 - ends), "touches itself or branches"),
                (own & ends & (alike < 1), "does not leave its end"),
                (own & ~reached, "has cells that are not joined to its ends"),
            ):
                if where.any():
                    broken.append(f"the path of {name} {words} in {self._where(where.argmax())}")
        return broken

    def written(self, token: int) -> str:
        """The name of a token in errors: its letter, or a word."""
        return ("a pad", "blank", *LETTERS)[token]

    def _where(self, cell: Any) -> str:
        row, column = divmod(int(cell), self.side)
        return f"row {row + 1}, column {column + 1}"
