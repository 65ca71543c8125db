"""Reads Futoshiki puzzles as text: rows of cells, and rows of signs between them."""

from typing import NamedTuple

import numpy as np

from trm_jax.core.symmetries import FIRST_DIGIT
from trm_jax.tasks.futoshiki.futoshiki import BLANK, DRAWN, GAP, SIGNS, Futoshiki, Tokens
from trm_jax.tasks.given import BadLineError, Given, take_column, without_frames

BLANKS = ".0"
GAPS = GAP + "_"
VERTICAL = "^vV"
_WRITTEN = str.maketrans(DRAWN, SIGNS)


class _Line(NamedTuple):
    """A line of a text: its number, its content, and whether it is the only one."""

    number: int
    text: str
    alone: bool

    def bad(self, reason: str) -> BadLineError:
        return BadLineError(self.number, reason, alone=self.alone)


def symbols(puzzle: Futoshiki) -> tuple[str, ...]:
    """The characters that are read as each token."""
    return ("", BLANKS, *puzzle.digits, *SIGNS[:3], "vV", GAPS)


def read_lines(text: str, puzzle: Futoshiki) -> list[Given]:
    """Reads the puzzles of a text.

    A puzzle is one line with all places of the board, or one line per row of cells with lines of
    vertical signs between them. Spaces at the end of a line, and lines without a sign, may be
    missing, and a frame may be drawn around the board, as `trm solve` does. Empty lines and lines
    that start with '#' are skipped.

    Args:
      text: contents of a file or of standard input.
      puzzle: the size of the puzzles.

    Raises:
      BadLineError: a line is not part of a puzzle.
    """
    lines = enumerate(text.removeprefix("\ufeff").translate(_WRITTEN).splitlines(), 1)
    numbered = without_frames(take_column(list(lines)), puzzle.width)
    kept = [(n, raw.rstrip()) for n, raw in numbered if raw.strip() and raw.lstrip()[0] != "#"]
    found: list[Given] = []
    block: list[Tokens] = []
    begun = 0
    for number, raw in kept:
        line = _Line(number, raw, len(kept) == 1)
        if len(line.text.strip()) == puzzle.cells and not block:
            found.append(Given(number, _whole(line._replace(text=raw.strip()), puzzle)))
            continue
        begun = begun if block else number
        block = _longer(block, line, puzzle)
        if len(block) == puzzle.width:
            found.append(Given(begun, np.concatenate(block)))
            block = []
    if block:
        rows = (len(block) + 1) // 2
        raise BadLineError(
            begun, f"the puzzle has {rows} row{'s' * (rows > 1)} of cells instead of {puzzle.side}."
        )
    return found


def _whole(line: _Line, puzzle: Futoshiki) -> Tokens:
    """The tokens [S] of a puzzle in one line."""
    width, rows = puzzle.width, []
    for row in range(width):
        read = _signs if row % 2 else _cells
        part = line._replace(text=line.text[row * width : (row + 1) * width])
        rows.append(read(part, puzzle, row * width))
    return np.concatenate(rows)


def _longer(block: list[Tokens], line: _Line, puzzle: Futoshiki) -> list[Tokens]:
    """Adds a row to the rows of a board, and before it a row of gaps if signs are missing."""
    if set(line.text) <= {*VERTICAL, *GAPS}:
        if len(block) % 2 == 0:
            where = "above the first row of cells" if not block else "below another such row"
            raise line.bad(f"there is a row of signs {where}; put it between two rows of cells.")
        return [*block, _signs(line, puzzle)]
    row = _cells(line, puzzle)
    if len(block) % 2:
        block = [*block, np.full(puzzle.width, puzzle.gap, np.uint8)]
    return [*block, row]


def _cells(line: _Line, puzzle: Futoshiki, before: int = 0) -> Tokens:
    """Tokens of a row of cells with the signs between them; errors count places from `before`."""
    known: dict[str, int] = dict.fromkeys(BLANKS, BLANK)
    known |= {digit: token for token, digit in enumerate(puzzle.digits, FIRST_DIGIT)}
    between = {sign: puzzle.first_sign + number for number, sign in enumerate(SIGNS[:2])}
    between |= dict.fromkeys(GAPS, puzzle.gap)
    if len(line.text) != puzzle.width:
        raise line.bad(
            f"the line has {len(line.text)} characters instead of {puzzle.width}; write "
            f"{puzzle.side} cells with '<', '>' or a space between any two, or the whole board of "
            f"{puzzle.cells} places in one line."
        )
    for place, character in enumerate(line.text):
        if place % 2 == 0 and character not in known:
            raise line.bad(
                f"character {character!r} at place {before + place + 1} is not a symbol; use "
                f"{puzzle.digits[0]} to {puzzle.digits[-1]}, and '.' for a blank."
            )
        if place % 2 and character not in between:
            raise line.bad(
                f"character {character!r} at place {before + place + 1} is between two cells; "
                "use '<', '>', or a space or '_' for no sign."
            )
    pairs = enumerate(line.text)
    return np.asarray([(between if i % 2 else known)[c] for i, c in pairs], np.uint8)


def _signs(line: _Line, puzzle: Futoshiki, before: int = 0) -> Tokens:
    """Tokens of a row of signs; spaces at its end may be missing."""
    known: dict[str, int] = dict.fromkeys(GAPS, puzzle.gap)
    known |= {sign: puzzle.first_sign + SIGNS.index(sign.lower()) for sign in VERTICAL}
    if len(line.text) > puzzle.width:
        raise line.bad(
            f"the row of signs has {len(line.text)} characters, and a board {puzzle.width} columns."
        )
    for place, character in enumerate(line.text):
        if character not in known or (place % 2 and character not in GAPS):
            raise line.bad(
                f"character {character!r} at place {before + place + 1} is between two rows; "
                "use '^' or 'v' below a cell, and spaces or '_' elsewhere."
            )
    return np.asarray([known[c] for c in line.text.ljust(puzzle.width)], np.uint8)
