"""Puzzles in a text, each with the line that it begins in."""

import re
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from trm_jax.core.errors import UserError
from trm_jax.data.columns import QUESTION_NAMES

_SEPARATOR = re.compile(r"[,;\t]")
_WORDS = re.compile(r"[A-Za-z_][\w .%-]*")

_ESCAPES = re.compile(r"\x1b\[[0-9;]*m")
_BARS = "│|"
_EDGE = re.compile(r"\s*[┌├└+][─┬┼┴+\-]+[┐┤┘+]\s*")
_ROW = re.compile(rf"\s*([{_BARS}])(.*)[{_BARS}]\s*")
_CAPTION = re.compile(r"\s*puzzle \d+[:,] .*")


class Given(NamedTuple):
    """One puzzle of a text.

    Attributes:
      line: number of its first line, counted from 1.
      tokens: uint8 [S], token ids.
      note: a remark if it was read in an unusual way; otherwise empty.
    """

    line: int
    tokens: NDArray[np.uint8]
    note: str = ""


class BadLineError(UserError):
    """A line of a text that is not part of a puzzle.

    Attributes:
      line: number of the line, counted from 1.
      reason: what is wrong, and the remedy.
    """

    def __init__(self, line: int, reason: str, *, alone: bool = False) -> None:
        """Makes the message, which names the line unless it is the only one (`alone`)."""
        super().__init__(reason if alone else f"line {line}: {reason}")
        self.line, self.reason = line, reason


def take_column(lines: list[tuple[int, str]]) -> list[tuple[int, str]]:
    """The column with puzzles, if the numbered lines are a table with a header.

    Otherwise the lines are returned unchanged.
    """
    place = next((place for place, (_, raw) in enumerate(lines) if raw.strip()), None)
    if place is None:
        return lines
    names = [name.strip(" \"'").lower() for name in _SEPARATOR.split(lines[place][1])]
    known = [name for name in QUESTION_NAMES if name in names]
    if not known or not all(not name or _WORDS.fullmatch(name) for name in names):
        return lines
    if len(names) == 1:
        return lines[place + 1 :]
    column, found = names.index(known[0]), []
    for number, raw in lines[place + 1 :]:
        fields = _SEPARATOR.split(raw)
        found.append((number, fields[column].strip("\"'") if len(fields) > column else ""))
    return found


def without_frames(
    lines: Iterable[tuple[int, str]], columns: int, known: Container[str] = ()
) -> list[tuple[int, str]]:
    """Numbered lines without what the program draws around the cells of a board.

    Frames and the captions of `trm solve` are left out. A row between bars becomes its cells, one
    character each; a second character of each cell, a space or the mark of a wrong one, is dropped.

    Args:
      lines: numbered lines of a text, which may have ANSI colour codes.
      columns: number of columns of a board.
      known: the symbols of cells, which are never taken for a frame.
    """
    found = []
    for number, raw in lines:
        bare = _ESCAPES.sub("", raw)
        edge = _EDGE.fullmatch(bare) and not all(mark in known for mark in bare.strip())
        if edge or _CAPTION.fullmatch(bare):
            continue
        row = _ROW.fullmatch(bare)
        if row and row[1] not in known:
            boxes = re.split(f"[{_BARS}]", row[2])
            cells = "".join(box[len(box) % 2 :: 2] for box in boxes)  # some have a space before
            bare = cells if len(cells) == columns else "".join(boxes)
        found.append((number, bare))
    return found


def only(found: Sequence[Given]) -> NDArray[np.uint8]:
    """The tokens [S] of the single puzzle of a text.

    Raises:
      UserError: there is no puzzle, or more than one.
    """
    if len(found) != 1:
        raise UserError(f"the text has {len(found) or 'no'} puzzles, and exactly one is needed.")
    return found[0].tokens


def joined_lines(text: str, rows: int, columns: int, known: Mapping[str, int]) -> list[Given]:
    """Reads puzzles with one character per cell; lines are joined until a grid is complete.

    Args:
      text: any number of puzzles, each in one line or in one line per row. Empty lines are
        skipped, and lines that start with '#', unless '#' is a symbol. A board may be drawn with
        a frame, as `trm solve` does.
      rows: number of rows of a puzzle.
      columns: number of columns of a puzzle.
      known: token of each character.

    Raises:
      BadLineError: an unknown character, or too few or too many in a line or a puzzle.
    """
    lines, cells = without_frames(enumerate(text.splitlines(), 1), columns, known), rows * columns
    alone = sum(bool(line.strip()) for _, line in lines) == 1
    found: list[Given] = []
    grid, begun = "", 0
    for number, raw in lines:
        line = raw.strip()
        if not line or (line.startswith("#") and "#" not in known):
            continue
        place = next((i for i, cell in enumerate(line, 1) if cell not in known), 0)
        if place:
            raise BadLineError(
                number,
                f"character {line[place - 1]!r} at place {place} of the puzzle is not a symbol; "
                f"use {''.join(known)}.",
                alone=alone,
            )
        wanted = (columns,) if grid else (cells, columns)
        if len(line) not in wanted:
            raise BadLineError(
                number,
                f"the puzzle has {len(line)} cells instead of {cells}; write {rows} rows of "
                f"{columns}.",
                alone=alone,
            )
        begun = begun if grid else number
        grid += line
        if len(grid) == cells:
            found.append(Given(begun, np.asarray([known[cell] for cell in grid], np.uint8)))
            grid = ""
    if grid:
        raise BadLineError(
            begun,
            f"the puzzle has {len(grid)} cells instead of {cells}; write {rows} rows of {columns}.",
            alone=alone,
        )
    return found
