"""The cells of a question or an answer: rows of short texts."""

import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from trm_jax.core.errors import UserError

Rows = Sequence[Sequence[str]]
"""The cells of a grid; a row that is a string has one cell per character."""

SPLITS = ("auto", "characters", "words")
SEPARATORS = re.compile(r"[\s,;]+")
ROW_ENDS = "/|\\"
"""Separators of rows in one line of text; the first one that is not a symbol is used."""


class Style(NamedTuple):
    """How texts are split into cells.

    Attributes:
      words: whether cells are words separated by spaces, commas or semicolons, or characters.
      spaces: whether a space is a cell, if cells are characters.
    """

    words: bool = False
    spaces: bool = False


def style_of(texts: Iterable[str], split: str = "auto") -> Style:
    """Infers how texts are split: into words if all lines of a text have equally many of them.

    Args:
      texts: all questions of a source; values that are not text are skipped.
      split: one of SPLITS.
    """
    several = spaces = False
    words = split != "characters"
    for text in texts:
        if not isinstance(text, str):
            continue
        lines = [line.strip() for line in text.strip().splitlines()]
        spaces = spaces or any(" " in line for line in lines)
        if words and split == "auto":
            counts = {len(SEPARATORS.split(line)) for line in lines}
            words = len(counts) == 1 and (counts != {1} or max(map(len, lines), default=0) < 2)
            several = several or counts != {1}
        if not words and spaces:
            break
    return Style(words and (several or split == "words"), spaces)


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
    elif isinstance(value, int):  # a single cell
        rows = [[str(int(value))]]
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
    lines = text.strip("\r\n\ufeff").splitlines()
    if style.words:
        return [SEPARATORS.split(line.strip(" \t,;")) for line in lines if line.strip()]
    return list(lines) if style.spaces else [line.strip() for line in lines if line.strip()]


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
