"""Tokens and rules of Futoshiki, on a board of cells with signs between them."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trm_jax.core.errors import UserError
from trm_jax.core.symmetries import FIRST_DIGIT

BLANK = 1
SIGNS = "<>^v"
"""The signs; each points to the smaller digit: left, right, above, below."""
DRAWN = "<>∧∨"
"""The signs in drawings with colours."""
GAP = " "
"""The character between two cells without a sign, and between four cells."""
MIN_SIDE, MAX_SIDE = 2, 9
_WORDS = ("less than", "greater than", "less than", "greater than")

Tokens = NDArray[np.uint8]


@dataclasses.dataclass(frozen=True)
class Futoshiki:
    """A Latin square of `side` x `side` cells, with signs between some neighbours.

    The board has 2 * side - 1 rows and columns. Cells are at places whose row and column, counted
    from 0, are both even, and signs at places where one of them is odd. Token ids: 0 padding, 1
    blank, digits from FIRST_DIGIT, then the four signs and the gap.

    Attributes:
      side: number of rows and columns of cells.
    """

    side: int

    def __post_init__(self) -> None:
        """Checks the side.

        Raises:
          UserError: it is out of range.
        """
        if not MIN_SIDE <= self.side <= MAX_SIDE:
            raise UserError(
                f"side is {self.side}; a Futoshiki here has {MIN_SIDE} to {MAX_SIDE} rows."
            )

    @classmethod
    def from_manifest(cls, manifest: Mapping[str, Any]) -> "Futoshiki":
        """The puzzle of a dataset's manifest.

        Raises:
          UserError: the manifest has no valid side.
        """
        side = manifest.get("side")
        if type(side) is not int:
            raise UserError(
                f"the dataset's manifest has side {side!r}; a Futoshiki needs a whole number, "
                "for example 5."
            )
        return cls(side)

    @property
    def width(self) -> int:
        """Number of rows and columns of the board, with signs."""
        return 2 * self.side - 1

    @property
    def cells(self) -> int:
        """Number of places of the board, with signs (S)."""
        return self.width**2

    @property
    def vocab(self) -> int:
        """Number of token ids (V)."""
        return FIRST_DIGIT + self.side + len(SIGNS) + 1

    @property
    def digits(self) -> str:
        """The characters of the digits."""
        return "123456789"[: self.side]

    @property
    def first_sign(self) -> int:
        """Token id of the first of SIGNS."""
        return FIRST_DIGIT + self.side

    @property
    def gap(self) -> int:
        """Token id of a place without a sign."""
        return self.first_sign + len(SIGNS)

    def squares(self) -> NDArray[np.int64]:
        """Indices of the cells on the board, int64 [side * side]."""
        places = np.arange(self.cells).reshape(self.width, self.width)
        return places[::2, ::2].reshape(-1)

    def edges(self) -> NDArray[np.int64]:
        """All pairs of neighbours, int64 [E, 3]: place of the sign, first cell, second cell.

        Cells are counted from 0, row by row, without the signs; horizontal pairs come first.
        """
        places = np.arange(self.cells).reshape(self.width, self.width)
        cells = np.arange(self.side**2).reshape(self.side, self.side)
        across = (places[::2, 1::2], cells[:, :-1], cells[:, 1:])
        down = (places[1::2, ::2], cells[:-1], cells[1:])
        both = [np.stack([each.reshape(-1) for each in group], 1) for group in (across, down)]
        return np.concatenate(both)

    def differences(self, questions: Tokens) -> NDArray[np.int64]:
        """The signs of boards [B, S] by pair of neighbours, int64 [B, E].

        -1 if the first cell of the pair has to be less, 1 if the second, 0 without a sign.
        """
        signs = questions[:, self.edges()[:, 0]].astype(int) - self.first_sign
        return np.where((signs < 0) | (signs >= len(SIGNS)), 0, np.where(signs % 2, 1, -1))

    def board(self, digits: NDArray[np.int64], signs: NDArray[np.int64]) -> Tokens:
        """The board [S] with digits counted from 0 (-1: blank) and signs as in `differences`."""
        tokens = np.full(self.cells, self.gap, np.uint8)
        tokens[self.squares()] = np.where(digits < 0, BLANK, digits + FIRST_DIGIT)
        across = np.arange(len(signs)) < len(signs) // 2
        token = self.first_sign + np.where(across, 0, 2) + (signs > 0)
        tokens[self.edges()[:, 0]] = np.where(signs == 0, self.gap, token)
        return tokens

    def check_question(self, question: Tokens) -> str | None:
        """The first rule that the givens of a question [S] break, as text; None if all are kept."""
        broken = self._repeats(question) + self._inequalities(question, question)
        return broken[0] if broken else None

    def check_answer(self, question: Tokens, answer: Tokens) -> list[str]:
        """The rules that an answer [S] to a question [S] breaks, as text; empty if it is right."""
        broken = []
        blanks = int((~self._is_digit(answer[self.squares()])).sum())
        if blanks:
            broken.append(f"{blanks} cell{'s are' if blanks > 1 else ' is'} without a digit")
        for place in np.flatnonzero((question != BLANK) & (question != answer)).tolist():
            before, after = (self.written(int(tokens[place])) for tokens in (question, answer))
            kind = "given" if place in self.squares() else "sign"
            what = "gap" if question[place] == self.gap else f"{kind} {before}"
            broken.append(f"the {what} {self._where(place)} became {after}")
        return broken + self._repeats(answer) + self._inequalities(question, answer)

    def accepts(self, questions: Tokens, answers: Tokens) -> NDArray[np.bool_]:
        """Whether answers [B, S] to questions [B, S] satisfy all rules, bool [B]."""
        kept = ((questions == answers) | (questions == BLANK)).all(1)
        found = answers[:, self.squares()]
        numbers = np.where(self._is_digit(found), found - FIRST_DIGIT, 31).astype(np.uint32)
        bits = (np.uint32(1) << numbers).reshape(-1, self.side, self.side)
        full = np.uint32((1 << self.side) - 1)
        kept &= (np.bitwise_or.reduce(bits, 1) == full).all(1)
        kept &= (np.bitwise_or.reduce(bits, 2) == full).all(1)
        _, first, second = self.edges().T
        signs = np.sign(found[:, first].astype(int) - found[:, second])
        wanted = self.differences(questions)
        return kept & ((wanted == 0) | (wanted == signs)).all(1)

    def written(self, token: int) -> str:
        """The name of a token in errors: its character, or a word."""
        if token < FIRST_DIGIT:
            return ("a pad", "blank")[token]
        return "a gap" if token == self.gap else (self.digits + SIGNS)[token - FIRST_DIGIT]

    def _is_digit(self, tokens: Tokens) -> NDArray[np.bool_]:
        return (tokens >= FIRST_DIGIT) & (tokens < self.first_sign)

    def _where(self, place: int) -> str:
        """Describes a place of the board by its cell, or by the cells that it is between."""
        row, column = divmod(place, self.width)
        rows, columns = (
            f"{name} {n // 2 + 1}" if n % 2 == 0 else f"{name}s {n // 2 + 1} and {n // 2 + 2}"
            for name, n in (("row", row), ("column", column))
        )
        return f"in {rows}, {columns}"

    def _repeats(self, tokens: Tokens) -> list[str]:
        """One clause for each digit that appears more than once in a row or column."""
        square = tokens[self.squares()].reshape(self.side, self.side)
        broken = []
        for name, lines in (("row", square), ("column", square.T)):
            for number, line in enumerate(lines, 1):
                times = np.bincount(line, minlength=self.vocab)
                for digit, count in enumerate(times[FIRST_DIGIT : self.first_sign].tolist(), 1):
                    if count > 1:
                        often = "twice" if count == 2 else f"{count} times"
                        broken.append(f"digit {digit} appears {often} in {name} {number}")
        return broken

    def _inequalities(self, question: Tokens, answer: Tokens) -> list[str]:
        """One clause for each sign of a question that two digits of an answer break."""
        found = answer[self.squares()]
        broken = []
        pairs = zip(self.edges(), self.differences(question[None])[0], strict=True)
        for (place, first, second), wanted in pairs:
            one, other = int(found[first]), int(found[second])
            if not wanted or not self._is_digit(found[[first, second]]).all():
                continue
            if np.sign(one - other) != wanted:
                sign = int(question[place]) - self.first_sign
                row, column = divmod(int(first), self.side)
                side = "on its right" if sign < 2 else "below"
                broken.append(
                    f"{one - 1} in row {row + 1}, column {column + 1} is not {_WORDS[sign]} "
                    f"{other - 1} {side}"
                )
        return broken
