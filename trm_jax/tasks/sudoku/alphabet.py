"""Alphabets of Sudokus: characters of the digits, 1 to 9 then A on, 0 to F, or letters from A."""

from collections.abc import Iterable, Sequence
from string import ascii_uppercase
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from trm_jax.core.symmetries import FIRST_DIGIT

BLANK = 1
BLANKS = "._0"
"""Characters of a blank that are written here; they are always read."""
MORE_BLANKS = "*?Xx-"
"""Other characters of a blank in common use, which are read from files of puzzles."""
SYMBOLS = "123456789ABCDEFGHIJKLMNOP"
_ZERO = "0"


class Alphabet(NamedTuple):
    """Characters of digits and blanks.

    Attributes:
      symbols: characters of the digits in order, letters in upper case.
      note: sentence for the user if they are not the usual ones; else empty.
    """

    symbols: str
    note: str = ""

    def tokens(self) -> dict[str, int]:
        """Token of each character, including blanks."""
        found = dict.fromkeys(BLANKS + MORE_BLANKS, BLANK)
        for token, symbol in enumerate(self.symbols, FIRST_DIGIT):
            found[symbol] = found[symbol.lower()] = token
        return found

    def table(self) -> NDArray[np.uint8]:
        """Token of each byte of text, uint8 [256]; 0 for bytes that are not a cell."""
        table = np.zeros(256, np.uint8)
        for character, token in self.tokens().items():
            table[ord(character)] = token
        return table

    def words(self) -> str:
        """Describes the valid characters, for error messages."""
        return f"{self.symbols[0]} to {self.symbols[-1]}, and '.' for a blank"


def usual(side: int) -> Alphabet:
    """The alphabet in which grids of `side` rows are written here."""
    return Alphabet(SYMBOLS[:side])


def all_symbols(side: int) -> set[str]:
    """Characters of digits in any alphabet."""
    letters = set(ascii_uppercase[:side])
    return {_ZERO} | set(SYMBOLS[: min(side, 9)]) | letters | {each.lower() for each in letters}


def alphabet_of(side: int, grids: Sequence[str]) -> Alphabet:
    """Detects the alphabet of the puzzles of one text.

    Digits count from 0 (hexadecimal) if a grid of more than nine digits has '0' beside another
    blank, and the last symbol is unused; see `ambiguous` for the remaining cases.

    Args:
      side: number of rows of a grid.
      grids: puzzles, one character per cell.
    """
    there = set("".join(grids).upper())
    if _letters_alone(side, there):
        return _lettered(side)
    top = SYMBOLS[side - 1]
    if side > 9 and top not in there and any(map(_mixed, grids)):
        return _from_zero(side)
    return usual(side)


def alphabet_of_answers(side: int, characters: Iterable[str]) -> Alphabet:
    """Detects the alphabet of a file from the characters of its answers, which have no blanks."""
    there = {character.upper() for character in characters}
    if _letters_alone(side, there):
        return _lettered(side)
    if _ZERO in there and SYMBOLS[side - 1] not in there:
        return _from_zero(side)
    return usual(side)


def ambiguous(grid: str, alphabet: Alphabet) -> str:
    """Why the zeros of a grid may be digits or blanks; empty if they are unambiguous."""
    if _ZERO in alphabet.symbols or not _mixed(grid):
        return ""
    first, last = alphabet.symbols[0], alphabet.symbols[-1]
    return (
        "'0' is used beside another character for a blank, so it may be a digit; write every blank "
        f"as '.', and the digits as {first} to {last}"
    )


def first_mixed(raw: NDArray[np.uint8], table: NDArray[np.uint8]) -> tuple[int, str] | None:
    """Finds the first of the questions in bytes [rows, S] with ambiguous zeros, and the reason."""
    zeros = raw == ord(_ZERO)
    if table[ord(_ZERO)] != BLANK or not zeros.any():
        return None
    mixed = zeros.any(axis=1) & ((table[raw] == BLANK) & ~zeros).any(axis=1)
    return (
        (
            int(mixed.argmax()),
            "'0' is used beside another character for a blank, so it may be a digit: write every "
            "blank as '.'",
        )
        if mixed.any()
        else None
    )


def _mixed(grid: str) -> bool:
    return _ZERO in grid and bool(set(grid) & set(BLANKS + MORE_BLANKS) - {_ZERO})


def _letters_alone(side: int, there: set[str]) -> bool:
    letters = {each for each in there if each.isalpha()} - (
        set(MORE_BLANKS) if side < 24 else set()
    )
    return bool(letters) and letters <= set(ascii_uppercase[:side]) and not there & set(SYMBOLS[:9])


def _lettered(side: int) -> Alphabet:
    last = ascii_uppercase[side - 1]
    note = f"the letters A to {last} are read as the digits {SYMBOLS[0]} to {SYMBOLS[side - 1]}"
    return Alphabet(ascii_uppercase[:side], note)


def _from_zero(side: int) -> Alphabet:
    symbols = _ZERO + SYMBOLS[: side - 1]
    note = (
        f"'0' is read as a digit, so 0 to {symbols[-1]} are the digits {SYMBOLS[0]} to "
        f"{SYMBOLS[side - 1]} of the answer"
    )
    return Alphabet(symbols, note)
