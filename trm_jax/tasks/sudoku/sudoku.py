"""Sudoku of any box shape: tokens, text and rules."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trm_jax.core.errors import UserError
from trm_jax.core.symmetries import FIRST_DIGIT
from trm_jax.tasks.given import Given, only
from trm_jax.tasks.sudoku.alphabet import SYMBOLS
from trm_jax.tasks.sudoku.grids import read_grids

Grid = NDArray[np.uint8]


@dataclasses.dataclass(frozen=True)
class Sudoku:
    """A Sudoku whose boxes have `box_rows` rows and `box_columns` columns.

    Token ids: 0 pad, 1 blank, then the digits from 1 (token = digit + 1).

    Raises:
        UserError: a side of the box is below 2, or there are more than 25 digits.
    """

    box_rows: int
    box_columns: int

    def __post_init__(self) -> None:
        """Checks the box shape."""
        if min(self.box_rows, self.box_columns) < 2 or self.side > len(SYMBOLS):
            raise UserError(
                f"boxes of {self.box_rows}x{self.box_columns} cells are not supported; each side "
                f"must be 2 or more and their product {len(SYMBOLS)} or less, for example 3x3."
            )

    @classmethod
    def from_manifest(cls, manifest: Mapping[str, Any]) -> "Sudoku":
        """Reads the box shape from a dataset's manifest; raises UserError if it is missing."""
        box = manifest.get("box")
        if not (isinstance(box, list) and len(box) == 2 and all(type(x) is int for x in box)):
            raise UserError(
                f"the dataset's manifest has box {box!r}; a Sudoku needs [rows, columns], "
                "for example [3, 3]."
            )
        return cls(*box)

    @property
    def box(self) -> tuple[int, int]:
        """Number of rows and of columns of a box."""
        return self.box_rows, self.box_columns

    @property
    def side(self) -> int:
        """Number of rows, columns, boxes and digits of the grid."""
        return self.box_rows * self.box_columns

    @property
    def cells(self) -> int:
        """Number of cells of the grid, S."""
        return self.side**2

    @property
    def vocab(self) -> int:
        """Number of token ids, V: pad, blank and the digits."""
        return self.side + FIRST_DIGIT

    @property
    def symbols(self) -> str:
        """Characters of the digits: 1 to 9, then A for 10 and so on."""
        return SYMBOLS[: self.side]

    def parse(self, text: str) -> Grid:
        """Reads a text of one puzzle, in any of the notations of `grids.read_grids`.

        Returns:
            uint8 [S] tokens.

        Raises:
            UserError: a character is not a cell, or there are too few or too many cells.
        """
        return only(self.parse_all(text))

    def parse_all(self, text: str) -> list[Given]:
        """Reads all puzzles of a text.

        Raises:
            BadLineError: a line is not part of a puzzle.
        """
        return read_grids(text, self.box_rows, self.side)

    def format_line(self, tokens: Grid) -> str:
        """Writes tokens [S] as one line that `parse` reads; pads and blanks become '.'."""
        text = ".." + self.symbols
        return "".join(text[token] for token in tokens.tolist())

    def units(self) -> NDArray[np.int64]:
        """Cells of each row, column and box, in this order, int64 [3 * side, side]."""
        rows = np.arange(self.cells).reshape(self.side, self.side)
        boxes = rows.reshape(self.box_columns, self.box_rows, self.box_rows, self.box_columns)
        return np.concatenate([rows, rows.T, boxes.swapaxes(1, 2).reshape(self.side, self.side)])

    def check_question(self, question: Grid) -> str | None:
        """A sentence on why a question [S] breaks the rules; None if it breaks none."""
        broken = self._repeats(question)
        return broken[0] if broken else None

    def check_answer(self, question: Grid, answer: Grid) -> list[str]:
        """Sentences on the rules that an answer [S] to a question [S] breaks; empty if right."""
        broken = []
        blanks = int((answer < FIRST_DIGIT).sum())
        if blanks:
            broken.append(f"{blanks} cell{'s are' if blanks > 1 else ' is'} blank")
        for cell in np.flatnonzero((question >= FIRST_DIGIT) & (question != answer)).tolist():
            row, column = divmod(cell, self.side)
            pair = self.format_line(np.stack([question[cell], answer[cell]]))
            broken.append(
                f"the given {pair[0]} in row {row + 1}, column {column + 1} became {pair[1]}"
            )
        return broken + self._repeats(answer)

    def valid_answers(self, answers: Grid) -> NDArray[np.bool_]:
        """Whether each grid of a batch [B, S] is full and follows the rules, bool [B]."""
        bits = np.uint32(1) << answers.astype(np.uint32)
        full = np.uint32((1 << self.vocab) - (1 << FIRST_DIGIT))
        rows = bits.reshape(-1, self.side, self.side)
        boxes = bits.reshape(-1, self.box_columns, self.box_rows, self.box_rows, self.box_columns)
        valid = (np.bitwise_or.reduce(rows, 2) == full).all(1)
        valid &= (np.bitwise_or.reduce(rows, 1) == full).all(1)
        valid &= (np.bitwise_or.reduce(boxes, (2, 4)) == full).all((1, 2))
        return valid

    def _repeats(self, tokens: Grid) -> list[str]:
        """A sentence for each digit that appears more than once in a row, column or box."""
        broken = []
        for index, unit in enumerate(self.units()):
            name = f"{('row', 'column', 'box')[index // self.side]} {index % self.side + 1}"
            times = np.bincount(tokens[unit], minlength=self.vocab)
            for digit, count in enumerate(times[FIRST_DIGIT : self.vocab].tolist()):
                if count > 1:
                    often = "twice" if count == 2 else f"{count} times"
                    broken.append(f"digit {self.symbols[digit]} appears {often} in {name}")
        return broken
