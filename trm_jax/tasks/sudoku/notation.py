"""Sudokus as people write them: which cells each line of a text holds, whatever else it holds.

Read are one puzzle a line (.sdm), one row a line (.sdk, .ss, drawings with frames, ours too), cells
with commas, tabs or brackets between them, and lines with other fields beside the puzzle. Which
digits the cells mean is the business of `alphabet`.
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

_ALIKE: dict[int, str] = dict.fromkeys(map(ord, "\u200b\u2060\ufeff"), "")  # of no width
_ALIKE |= dict.fromkeys(map(ord, "\u00a0\u2007\u202f\u2423"), " ")
_ALIKE |= dict.fromkeys(map(ord, "\u2018\u2019\u201c\u201d"), '"')
_ALIKE |= {ord("\u3000"): " ", ord("\u2026"): "...", ord("\u2212"): _DASH}
_ALIKE |= {code: chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)}  # of full width
_ALIKE |= {ord(dash): _DASH for dash in "\u2010\u2011\u2012\u2013\u2014"}
_ALIKE |= {ord(dot): "." for dot in "\u00b7\u2022\u2219\u22c5\u25a1\u25a2"}
_WRAPPERS = str.maketrans({wrapper: " " for wrapper in f"\"'{{}}[](){_BARS}"})
_NO_BARS = str.maketrans({bar: None for bar in _BARS})
_BETWEEN = str.maketrans({mark: None for mark in f"{_LINES}+,;:"})


class Line(NamedTuple):
    """A line of a text.

    Attributes:
      number: from 1.
      raw: as it stands there.
      cells: those that it holds, one character each; "" for none.
      ends: whether it stands between two puzzles, so that none goes on across it.
    """

    number: int
    raw: str
    cells: str
    ends: bool = False


class Style(NamedTuple):
    """What is alike in all lines of a text.

    Attributes:
      side: rows of a grid.
      known: characters that can be cells.
      dashes: whether '-' is a blank, and not a part of frames only.
      spaces: whether blanks are written as spaces.
    """

    side: int
    known: frozenset[str]
    dashes: bool = False
    spaces: bool = False

    @property
    def size(self) -> int:
        """Cells of a grid."""
        return self.side**2


def read_lines(text: str, side: int) -> tuple[list[Line], Style]:
    """The lines of a text, but for comments; of a table the column with puzzles.

    Args:
      text: of any number of puzzles.
      side: rows of a grid.
    """
    lines = list(
        enumerate(_ESCAPES.sub("", text.removeprefix("\ufeff")).translate(_ALIKE).splitlines(), 1)
    )
    lines = take_column(_without_comments(lines))
    style = _style([raw for _, raw in lines], side)
    whole = style.spaces and len(lines) == side  # trimmed lines are rows, too
    found = []
    for number, raw in lines:
        if whole and not raw.strip():
            found.append(Line(number, raw, "." * side))
        else:
            found.append(_line(style, number, raw))
    return found, style


def _without_comments(lines: Sequence[tuple[int, str]]) -> list[tuple[int, str]]:
    """The lines without comments, and without sections that hold no puzzle (SadMan's [State])."""
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
    """Whether a space in a line may be a blank: it is no longer than a row, or as a puzzle is."""
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
    """The fields of a line that have as many characters as a puzzle, the likeliest first."""
    if len(raw) == style.size and style.known.issuperset(raw.replace(" ", "")):
        return [raw.replace(" ", ".")]
    fields = re.split(r"[,;:\s]+", raw.translate(_WRAPPERS))
    return [field for field in fields if len(field) == style.size]


def _tokens(style: Style, raw: str) -> str:
    """Rows of which each cell stands alone between commas, tabs or spaces; "" if these do not."""
    plain = raw.translate(_WRAPPERS)
    for separator in (",", ";", "\t", None):
        fields = [field.strip() for field in plain.split(separator)]
        for some in (fields, fields[:-1]):
            cells = [_cell(style, field) for field in some]
            if len(some) in (style.side, style.size) and all(cells):
                return "".join(cells)
    return ""


def _cell(style: Style, field: str) -> str:
    """One character for a cell; "" if the field is none."""
    if len(field) < 2:
        return field or "."
    number = int(field) if field.isascii() and field.isdigit() and len(field) < 3 else 0
    return SYMBOLS[number - 1] if 10 <= number <= style.side else ""


def _spaced(style: Style, raw: str) -> str:
    """A row, or a puzzle, whose blanks are spaces, those at its end trimmed; "" if it is none."""
    row = raw.translate(_NO_BARS)
    if not style.spaces or not style.known.issuperset(row.replace(" ", "")):
        return ""
    for cells in (style.side, style.size):
        if max(cells - style.side, 0) < len(row) <= cells:
            return row.ljust(cells).replace(" ", ".")
    return ""


def _compact(raw: str) -> str:
    return "".join(raw.translate(_WRAPPERS).translate(_BETWEEN).split())
