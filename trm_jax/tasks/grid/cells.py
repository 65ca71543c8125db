"""The cells of a question or an answer: rows of short texts."""

import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from trm_jax.core.errors import UserError

Rows = Sequence[Sequence[str]]
"""The cells of a grid; a row that is a string has one cell per character."""

SPLITS = ("auto", "characters", "words")
SEPARATORS = re.compile(r"[\s,;]+")
ROW_END = "/"
"""Separator of rows in one line of text, where grids differ in size."""
OTHER_ROW_ENDS = "|\\"
"""Separators in use for datasets of earlier versions, in which `ROW_END` is a symbol."""


class Style(NamedTuple):
    """How texts are split into cells.

    Attributes:
      words: whether cells are words separated by spaces, commas or semicolons, or characters.
      spaces: whether a space is a cell, if cells are characters.
      row_end: separator of rows within a line; empty for none.
    """

    words: bool = False
    spaces: bool = False
    row_end: str = ""


def style_of(texts: Iterable[str], split: str = "auto", row_end: str = "") -> Style:
    """Infers how texts are split: into words if all rows of a text have equally many of them.

    Args:
      texts: all questions of a source; values that are not text are skipped.
      split: one of SPLITS.
      row_end: separator of rows within a line; empty for none.
    """
    several = spaces = False
    words = split != "characters"
    for text in texts:
        if not isinstance(text, str):
            continue
        lines = [line.strip() for line in row_texts(text.strip(), row_end)]
        spaces = spaces or any(" " in line for line in lines)
        if words and split == "auto":
            counts = {len(SEPARATORS.split(line)) for line in lines}
            words = len(counts) == 1 and (counts != {1} or max(map(len, lines), default=0) < 2)
            several = several or counts != {1}
        if not words and spaces:
            break
    return Style(words and (several or split == "words"), spaces, row_end)


def row_texts(text: str, row_end: str) -> list[str]:
    """The texts of a grid's rows: its lines, or the parts of lines with `row_end` between rows."""
    lines = text.splitlines()
    if not row_end:
        return lines
    return [part for line in lines if line.strip() for part in line.split(row_end)]


def rows_of(value: Any, style: Style, place: str, what: str) -> Rows:
    """The rows of a question or an answer.

    Args:
      value: a text with one line per row or with all cells in one line, or a list of cells, or a
        list of rows, each a list of cells or a text.
      style: how texts are split.
      place: place of the value, for errors.
      what: "question" or "answer", for errors.

    Raises:
      UserError: the value has another type, is empty, or has rows of different lengths.
    """
    if isinstance(value, str):
        rows = _lines(value, style)
    elif isinstance(value, list | tuple):
        rows = _listed(value, style, place, what)
    elif isinstance(value, int | float):  # its zeros in front may be lost
        raise UserError(
            f"{place}: the {what} is a number; give a string, or a list of cells such as [1, 2]."
        )
    else:
        raise UserError(
            f"{place}: the {what} is a {type(value).__name__}; give a text, or lists of cells."
        )
    if not rows or not any(map(len, rows)):
        raise UserError(f"{place}: the {what} is empty; fix or remove the row.")
    if len(lengths := {len(row) for row in rows}) > 1:
        raise UserError(
            f"{place}: the {what} has rows of {min(lengths)} to {max(lengths)} cells; make them "
            "equally long."
        )
    return rows


def _lines(text: str, style: Style) -> list[Sequence[str]]:
    lines = row_texts(text.strip("\r\n\ufeff"), style.row_end)
    if style.spaces and not style.words:
        return list(lines)
    # an empty part beside a separator is an empty row, which is refused
    bare = [line.strip(" \t,;" if style.words else None) for line in lines]
    kept = [line for line in bare if line or style.row_end]
    return [SEPARATORS.split(line) if line else "" for line in kept] if style.words else [*kept]


def _listed(value: Sequence[Any], style: Style, place: str, what: str) -> list[Sequence[str]]:
    """Rows of a list, which has lists, or texts that are rows, or the cells of a single row."""
    if value and all(isinstance(each, list | tuple) for each in value):
        return [_row(row, place, what) for row in value]
    texts = all(isinstance(each, str) for each in value)
    if texts and not style.words and any(len(each) > 1 for each in value):
        return [row for each in value for row in _lines(each, style)]
    return [_row(value, place, what)]


def _row(cells: Sequence[Any], place: str, what: str) -> list[str]:
    return [each if type(each) is str and each else _cell(each, place, what) for each in cells]


def _cell(value: Any, place: str, what: str) -> str:
    """The symbol of one cell of a list."""
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    kind = "an empty text" if value == "" else f"{str(value)[:20]} ({type(value).__name__})"
    raise UserError(
        f"{place}: a cell of the {what} is {kind}; write whole numbers or symbols, and one symbol "
        "for a blank."
    )
