"""Reads all mazes of a text: lines are joined until a grid is full."""

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from trm_jax.tasks.given import BadLineError, Given, take_column
from trm_jax.tasks.maze.paths import FREE, GOAL, PATH, START, WALL

TOKENS = {"#": WALL, " ": FREE, "S": START, "G": GOAL, "o": PATH}
"""Token of each character that is written."""
TOKENS |= {".": FREE, "_": FREE, "s": START, "g": GOAL, "E": GOAL, "e": GOAL}
"""Token of further characters that are read."""
NUMBERS = {"0": FREE, "1": WALL, "2": START, "3": GOAL}
"""Token of each digit in mazes written with numbers, whose start and goal may also be letters."""
SAID = (
    "'#' for a wall, '.' or a space for a free cell, S, G (or E) and 'o' for the path, or 0 free, "
    "1 wall, 2 start, 3 goal"
)

_LETTERS = {letter: token for letter, token in TOKENS.items() if letter.isalpha()}
_DRAWN = {"█": "#", "▓": "#", "■": "#", "•": "o", "·": "."}
_SEPARATORS = str.maketrans({mark: None for mark in " ,;\t[](){}\"'"})
_BARS = "│|║┃"
_EDGE = re.compile(r"[\s┌┐└┘├┤┬┴┼─═╔╗╚╝+\-]+")
_TITLE = re.compile(r"\s*(maze|puzzle|grid|board|level|nr|no|number)\b", re.I)
_REMARK = re.compile(r"\s*(//|;|%|#\s+[A-Za-z])")
_ESCAPES = re.compile(r"\x1b\[[0-9;]*m")


class _Row(NamedTuple):
    """A line: its number, its cells, and whether it is from a drawing of this package."""

    number: int
    cells: str
    drawn: bool = False


class _Text(NamedTuple):
    """Properties shared by all mazes of a text.

    Attributes:
      side: number of rows of a maze.
      known: token of each character.
      padded: whether free cells are spaces, so that those at line ends may have been trimmed.
      alone: whether only a single line has cells.
    """

    side: int
    known: dict[str, int]
    padded: bool
    alone: bool


def read_floors(text: str, side: int) -> list[Given]:
    """Reads the mazes of a text, each in one line or in `side` lines.

    Spaces at line ends may be missing, cells may be separated by spaces, and a drawing of this
    package is read without its path. See `TOKENS` and `NUMBERS` for the characters.

    Args:
      text: content of a file or of standard input.
      side: number of rows of a maze.

    Raises:
      BadLineError: a character is not a cell, or a line or maze has too few or too many cells.
    """
    raws = _ESCAPES.sub("", text.removeprefix("\ufeff")).splitlines()
    lines = take_column(list(enumerate(raws, 1)))
    lines = [(number, raw) for number, raw in lines if not _is_remark(raw, side)]
    signs = {cell for _, raw in lines for cell in raw.translate(_SEPARATORS)}
    numeric = bool(signs & {"0", "1"}) and signs <= NUMBERS.keys() | _LETTERS.keys()
    known = NUMBERS | _LETTERS if numeric else TOKENS
    apart = _stand_apart(lines, side)
    rows = [_row(number, raw, side, numeric, apart) for number, raw in lines]
    filled = sum(bool(row.cells.strip()) for row in rows)
    padded = not numeric and "." not in signs and any(" " in row.cells for row in rows)
    shared = _Text(side, known, padded, filled == 1)
    for row in rows:
        _check_characters(row, shared)
    return [_given(block, shared) for block in _blocks(rows, shared)]


def _is_remark(raw: str, side: int) -> bool:
    """Whether a line is a comment, a title, or the edge of a drawing."""
    if raw.strip() and _EDGE.fullmatch(raw):
        return True
    foreign = not TOKENS.keys() | {*_DRAWN, *_BARS} >= set(raw)
    return (
        foreign
        and len(raw) not in (side, side**2)
        and bool(_REMARK.match(raw) or _TITLE.match(raw))
    )


def _row(number: int, raw: str, side: int, numeric: bool, apart: bool) -> _Row:
    bare = raw.strip()
    if len(bare) > 1 and bare[0] in _BARS and bare[-1] in _BARS:
        inner = bare[1:-1]
        inner = inner[::2] if len(inner) == 2 * side else inner
        return _Row(number, "".join(_DRAWN.get(cell, cell) for cell in inner), drawn=True)
    cells = "".join(_DRAWN.get(cell, cell) for cell in raw)
    if numeric or ("," in cells and len(cells.translate(_SEPARATORS)) in (side, side**2)):
        return _Row(number, cells.translate(_SEPARATORS))
    return _Row(number, cells[::2] if apart else cells)


def _stand_apart(lines: Sequence[tuple[int, str]], side: int) -> bool:
    """Whether the cells of a row are separated by spaces."""
    lengths = [len(raw.rstrip("\r\n")) for _, raw in lines]
    longest = max(lengths, default=0)
    return side < longest <= 2 * side and not any(raw[1::2].strip() for _, raw in lines)


def _check_characters(row: _Row, shared: _Text) -> None:
    for place, character in enumerate(row.cells, 1):
        if character not in shared.known:
            where = "the maze" if shared.alone else "the line"
            raise BadLineError(
                row.number,
                f"character {character!r} at place {place} of {where} is not a cell; use {SAID}.",
                alone=shared.alone,
            )


def _blocks(rows: Sequence[_Row], shared: _Text) -> list[list[_Row]]:
    """Groups the rows by maze; a whole maze in one line is a block of one row."""
    side = shared.side
    if len(rows) == side and max(len(row.cells) for row in rows) == side and shared.padded:
        return [list(rows)]
    blocks: list[list[_Row]] = []
    block: list[_Row] = []
    closed = False  # whether an empty line must follow, since the maze contains an empty row
    for row in rows:
        empty, length = not row.cells.strip(), len(row.cells)
        if empty and length != side and not (block and shared.padded):
            if block:
                raise _bad_block(block, shared)
            closed = False
        elif not block and not empty and _is_whole(length, shared):
            blocks.append([row])
        else:
            _check_length(row, rows, block, shared, closed)
            block = [*block, row]
            if len(block) == side:
                _check_width(block, shared)
                closed = any(not each.cells for each in block)
                blocks.append(block)
                block = []
    if block:
        raise _bad_block(block, shared)
    return blocks


def _is_whole(length: int, shared: _Text) -> bool:
    """Whether a line of this length holds a maze, except for trimmed free cells at its end."""
    size = shared.side**2
    return length == size or (shared.padded and size - shared.side < length < size)


def _check_length(
    row: _Row, rows: Sequence[_Row], block: list[_Row], shared: _Text, closed: bool
) -> None:
    """Refuses a line that cannot be a row of a maze."""
    side, length = shared.side, len(row.cells)
    if closed:
        raise BadLineError(
            row.number, "no empty line separates this maze from the one before it; insert one."
        )
    if length > side or (length < side and not shared.padded):
        after = [each for each in rows if each.number >= row.number]
        ends = (i for i, each in enumerate(after) if not each.cells.strip())
        together = [*block, *after[: next(ends, len(after))]]
        if len(together) > 1 and len({len(each.cells) for each in together}) == 1:
            raise _bad_block(together, shared)
        raise _bad_line(row, shared)


def _check_width(block: list[_Row], shared: _Text) -> None:
    if max(len(row.cells) for row in block) < shared.side:
        raise _bad_block(block, shared)


def _bad_line(row: _Row, shared: _Text) -> BadLineError:
    side = shared.side
    return BadLineError(
        row.number,
        f"the line has {len(row.cells)} cells, and a row of the {side}x{side} maze has {side}, the "
        f"whole maze {side**2}; write every cell, with '.' for a free one.",
        alone=shared.alone,
    )


def _bad_block(block: list[_Row], shared: _Text) -> BadLineError:
    if len(block) == 1:
        return _bad_line(block[0], shared)
    side, width = shared.side, max(len(row.cells) for row in block)
    return BadLineError(
        block[0].number,
        f"the maze has {len(block)} rows of {width} cells, and the model takes square mazes of "
        f"{side}x{side}; give mazes of that size, with '.' for a free cell.",
        alone=shared.alone,
    )


def _given(block: list[_Row], shared: _Text) -> Given:
    side, note = shared.side, ""
    width = side**2 if len(block) == 1 else side
    cells = "".join(row.cells.ljust(width) for row in block)
    if len(block) == 1 and len(block[0].cells) < width:
        note = f"the maze has {len(block[0].cells)} cells; missing ones at its end are read as free"
    tokens = np.asarray([shared.known.get(cell, FREE) for cell in cells], np.uint8)
    if any(row.drawn for row in block) and (tokens == PATH).any():
        tokens[tokens == PATH] = FREE
        note = "the path in the drawing is left out of the question"
    return Given(block[0].number, tokens, note)
