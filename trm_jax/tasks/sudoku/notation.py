"""Reads Sudokus in common notations: finds the cells of each line of a text.

Supported are one puzzle per line (.sdm), one row per line (.sdk, .ss, drawings with frames, also
those of this package), cells separated by commas, tabs or brackets, and lines with further fields.
`alphabet` decides which digits the cells mean.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from trm_jax.data.columns import QUESTION_NAMES
from trm_jax.tasks.given import take_column
from trm_jax.tasks.sudoku.alphabet import BLANKS, MORE_BLANKS, SYMBOLS, all_symbols

_DASH = "-"
_BARS = "|│║┃¦"
_LINES = "─═━┼╬╋├┤┬┴┌┐└┘╔╗╚╝╠╣╦╩┏┓┗┛┣┫┳┻╂╪╫╟╢╤╧╞╡╥╨╭╮╰╯"
_FRAME = re.compile(rf"[\s\-+*=:.'`,{_BARS}{_LINES}]+")
_HORIZONTAL = re.compile(rf"--|==|[{_LINES}]|^[\s\-+{_BARS}]*\+[\s\-+{_BARS}]*$")
_COMMENT = re.compile(r"\s*(#|//|;|%|<!--)")
_REMARK = re.compile(r"\s(?:#|//).*")
_SECTION = re.compile(r"\s*\[\s*([A-Za-z][A-Za-z _-]*)\s*\]\s*")
_TITLE = re.compile(
    r"\s*(grid|puzzle|sudoku|board|game|level|nr|no|number|easy|medium|hard|expert)\b", re.I
)
_ESCAPES = re.compile(r"\x1b\[[0-9;]*m")

_ALIKE: dict[int, str] = dict.fromkeys(map(ord, "\u200b\u2060\ufeff"), "")  # zero width
_ALIKE |= dict.fromkeys(map(ord, "\u00a0\u2007\u202f\u2423"), " ")
_ALIKE |= dict.fromkeys(map(ord, "\u2018\u2019\u201c\u201d"), '"')
_ALIKE |= {ord("\u3000"): " ", ord("\u2026"): "...", ord("\u2212"): _DASH}
_ALIKE |= {code: chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)}  # full width
_ALIKE |= {ord(dash): _DASH for dash in "\u2010\u2011\u2012\u2013\u2014"}
_ALIKE |= {ord(dot): "." for dot in "\u00b7\u2022\u2219\u22c5\u25a1\u25a2"}
_WRAPPERS = str.maketrans({wrapper: " " for wrapper in f"\"'{{}}[](){_BARS}"})
_NO_BARS = str.maketrans({bar: None for bar in _BARS})
_BETWEEN = str.maketrans({mark: None for mark in f"{_LINES}+,;:"})


class Line(NamedTuple):
    """A line of a text.

    Attributes:
      number: line number, from 1.
      raw: the line's text.
      cells: the line's cells, one character each; empty for none.
      ends: whether the line separates two puzzles, so that no puzzle continues across it.
    """

    number: int
    raw: str
    cells: str
    ends: bool = False


class Style(NamedTuple):
    """Properties shared by all lines of a text.

    Attributes:
      side: number of rows of a grid.
      known: characters that may be cells.
      dashes: whether '-' may be a blank; otherwise it is only a part of frames.
      spaces: whether blanks are written as spaces.
    """

    side: int
    known: frozenset[str]
    dashes: bool = False
    spaces: bool = False

    @property
    def size(self) -> int:
        """Number of cells of a grid."""
        return self.side**2


def read_lines(text: str, side: int) -> tuple[list[Line], Style]:
    """Splits a text into lines without comments; of a table it takes the column of puzzles.

    Args:
      text: text with any number of puzzles.
      side: number of rows of a grid.
    """
    lines = list(
        enumerate(_ESCAPES.sub("", text.removeprefix("\ufeff")).translate(_ALIKE).splitlines(), 1)
    )
    lines = take_column(_without_comments(lines))
    style = _style([raw for _, raw in lines], side)
    whole = style.spaces and len(lines) == side  # empty lines are rows whose spaces were trimmed
    found = []
    for number, raw in lines:
        if whole and not raw.strip():
            found.append(Line(number, raw, "." * side))
        else:
            found.append(_line(style, number, raw))
    return found, style


def _without_comments(lines: Sequence[tuple[int, str]]) -> list[tuple[int, str]]:
    """Drops comments and sections that hold no puzzle (such as SadMan's [State])."""
    found, skipped = [], False
    for number, raw in lines:
        if section := _SECTION.fullmatch(raw):
            skipped = section[1].strip().lower() not in QUESTION_NAMES
        elif not skipped and not _COMMENT.match(raw):
            found.append((number, _REMARK.sub("", raw)))
    return found


def _style(lines: Sequence[str], side: int) -> Style:
    symbols, blanks = all_symbols(side), set(BLANKS + MORE_BLANKS) - {_DASH}
    parts = [part for line in lines for part in re.split(rf"[\s,;:{_BARS}]+", line)]
    dashes = any(
        _DASH in part and not set(part) <= {_DASH, "0", "."} and set(part) <= symbols | {_DASH}
        for part in parts
    )
    if dashes:
        blanks.add(_DASH)
    rows = [line for line in lines if not _TITLE.match(line)]
    spaces = any(_has_gap(line, side) for line in rows) and not any(
        set(line) & blanks for line in rows
    )
    return Style(side, frozenset(symbols | blanks), dashes, spaces)


def _has_gap(line: str, side: int) -> bool:
    """Whether a space in a line may be a blank: the line is at most a row, or about a puzzle."""
    row = line.translate(_NO_BARS).rstrip()
    return " " in row and (len(row) <= side or side**2 - side < len(row) <= side**2)


def _line(style: Style, number: int, raw: str) -> Line:
    if not raw.strip() and not (style.spaces and len(raw) == style.side):
        return Line(number, raw, "")
    if _is_frame(style, raw):
        return Line(number, raw, "")
    fields = _fields(style, raw)
    sound = [field for field in fields if style.known.issuperset(field)]
    if sound:
        return Line(number, raw, sound[0])
    if _TITLE.match(raw) and not style.known.issuperset("".join(raw.split())):
        return Line(number, raw, "", ends=True)
    if fields:
        return Line(number, raw, fields[0])
    return Line(number, raw, _tokens(style, raw) or _spaced(style, raw) or _compact(raw))


def _is_frame(style: Style, raw: str) -> bool:
    if not _FRAME.fullmatch(raw) or not _HORIZONTAL.search(raw):
        return False
    row = "".join(raw.translate(_NO_BARS).split())
    blank = style.dashes and set(row) == {_DASH}
    return not (blank and len(row) in (style.side, style.size))


def _fields(style: Style, raw: str) -> list[str]:
    """Fields of a line that are as long as a puzzle."""
    if len(raw) == style.size and style.known.issuperset(raw.replace(" ", "")):
        return [raw.replace(" ", ".")]
    fields = re.split(r"[,;:\s]+", raw.translate(_WRAPPERS))
    return [field for field in fields if len(field) == style.size]


def _tokens(style: Style, raw: str) -> str:
    """Cells of a row or puzzle separated by commas, tabs or spaces; empty if it is not one."""
    plain = raw.translate(_WRAPPERS)
    for separator in (",", ";", "\t", None):
        fields = [field.strip() for field in plain.split(separator)]
        for some in (fields, fields[:-1]):
            cells = [_cell(style, field) for field in some]
            if len(some) in (style.side, style.size) and all(cells):
                return "".join(cells)
    return ""


def _cell(style: Style, field: str) -> str:
    """The character of a cell; empty if the field is not a cell."""
    if len(field) < 2:
        return field or "."
    number = int(field) if field.isascii() and field.isdigit() and len(field) < 3 else 0
    return SYMBOLS[number - 1] if 10 <= number <= style.side else ""


def _spaced(style: Style, raw: str) -> str:
    """A row or puzzle whose blanks are spaces, trimmed at the end; empty if it is not one."""
    row = raw.translate(_NO_BARS)
    if not style.spaces or not style.known.issuperset(row.replace(" ", "")):
        return ""
    for cells in (style.side, style.size):
        if max(cells - style.side, 0) < len(row) <= cells:
            return row.ljust(cells).replace(" ", ".")
    return ""


def _compact(raw: str) -> str:
    return "".join(raw.translate(_WRAPPERS).translate(_BETWEEN).split())
