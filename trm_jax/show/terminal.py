"""Puzzles side by side in a terminal, with colours or as plain text."""

import os
import re
from collections.abc import Sequence
from itertools import zip_longest
from typing import TextIO

import numpy as np

from trm_jax.core.errors import UserError
from trm_jax.show.panels import Board, Exhibit, Kind, Panel
from trm_jax.tasks.maze.maze import Maze

COLOUR_MODES = ("auto", "always", "never")
GAP, WIDE_GAP = 3, 6  # columns between two boards, and between groups of them
UNKNOWN = "?"

_ESCAPE = re.compile(r"\x1b\[[0-9;]*m")
_RESET = "\x1b[0m"
_BOLD, _RIGHT, _WRONG, _MISTAKE = "\x1b[1m", "\x1b[32m", "\x1b[31m", "\x1b[97;41m"
_FRAME = "\x1b[90m"
# of the 256 colours that terminals share, those nearest to ARC's customary ten
_ARC = (16, 32, 203, 41, 220, 248, 200, 208, 117, 88)
_DARK = (0, 1, 9)


def use_colour(mode: str, stream: TextIO) -> bool:
    """Whether to colour what is written to a stream.

    Args:
        mode: one of COLOUR_MODES; "auto" colours terminals, unless NO_COLOR is set.
        stream: for example `sys.stdout`.

    Raises:
        UserError: there is no such mode.
    """
    if mode not in COLOUR_MODES:
        raise UserError(f"colour is {mode!r}; choose one of {', '.join(COLOUR_MODES)}.")
    return mode == "always" or (
        mode == "auto" and stream.isatty() and not os.environ.get("NO_COLOR")
    )


def plain(text: str) -> str:
    """A text without its colours."""
    return _ESCAPE.sub("", text)


def visible_width(text: str) -> int:
    """Columns of the longest line of a text; colours take none."""
    return max(map(len, plain(text).split("\n")))


def beside(boards: Sequence[str], titles: Sequence[str], width: int, gap: int = GAP) -> str:
    """Joins texts of several lines side by side, and goes on below where the width is used up.

    Args:
        boards: at least one, coloured or not.
        titles: one for each, of one or more lines; it is put above its board.
        width: columns of the terminal. A board that is wider stands alone in its row.
        gap: columns between two boards.

    Returns:
        Lines without blanks at their ends.
    """
    rows: list[list[tuple[str, str, int]]] = []
    used = 0
    for board, title in zip(boards, titles, strict=True):
        columns = max(visible_width(board), visible_width(title))
        if not rows or used + gap + columns > width:
            rows.append([])
            used = -gap
        used += gap + columns
        rows[-1].append((board, title, columns))
    return "\n\n".join(_row(row, gap) for row in rows)


def render_arc(grid: Board, colour: bool, answer: Board | None = None) -> str:
    """Draws an ARC grid, two columns a cell.

    Args:
        grid: uint8 [rows, columns], colours 0 to 9; one without cells is said to be none.
        colour: in its colours with a frame around it, else in digits.
        answer: of the same shape; cells that differ from it are marked, by `><` or a star.
    """
    if not grid.size:
        return "(no grid)"
    wrong = np.zeros(grid.shape, bool) if answer is None else grid != answer
    lines = [
        "".join(_cell(*cell, colour) for cell in zip(*row, strict=True))
        for row in zip(grid.tolist(), wrong.tolist(), strict=True)
    ]
    if not colour:
        return "\n".join(line.rstrip() for line in lines)
    return _framed(lines, colour)


def render(kind: Kind, panel: Panel, colour: bool) -> str:
    """Draws the board of a panel; cells where a prediction is wrong are marked.

    A maze without colours is one character a cell, with no room to mark it.
    """
    board, wrong = panel.board, panel.wrong_cells()
    if board is None:
        return UNKNOWN
    if kind is None:
        return render_arc(board, colour, None if wrong is None else panel.answer)
    if isinstance(kind, Maze) and not colour:
        line, side = kind.format_line(board), kind.side
        return _framed([line[i : i + side] for i in range(0, kind.cells, side)], colour)
    text = kind.render(board, panel.question, colour)
    if wrong is None or panel.answer is None:
        return text
    return _marked(text, kind.render(panel.answer), colour)


def show(kind: Kind, exhibit: Exhibit, width: int, colour: bool) -> str:
    """A whole exhibit: its title, and its groups of boards side by side."""
    groups = [
        beside(
            [render(kind, panel, colour) for panel in group],
            [_title(panel, colour) for panel in group],
            width,
        )
        for group in exhibit.groups
    ]
    title = f"{_BOLD}{exhibit.title}{_RESET}" if colour else exhibit.title
    return f"{title}\n{beside(groups, [''] * len(groups), width, WIDE_GAP)}"


def _row(row: Sequence[tuple[str, str, int]], gap: int) -> str:
    """Titles, filled up below to the height of the highest, and the boards under them."""
    height = max(title.count("\n") + 1 if title else 0 for _, title, _ in row)
    blocks = []
    for board, title, columns in row:
        above = title.split("\n") if title else []
        lines = [*above, *[""] * (height - len(above)), *board.split("\n")]
        blocks.append([line + " " * (columns - visible_width(line)) for line in lines])
    blank = [" " * columns for _, _, columns in row]
    lines = []
    for parts in zip_longest(*blocks):
        filled = (b if part is None else part for part, b in zip(parts, blank, strict=True))
        lines.append((" " * gap).join(filled).rstrip())
    return "\n".join(lines)


def _cell(value: int, wrong: bool, colour: bool) -> str:
    if not colour:
        return f"{value}{'*' if wrong else ' '}"
    ink = 97 if value in _DARK else 30
    return f"\x1b[{ink};48;5;{_ARC[value]}m{'><' if wrong else '  '}{_RESET}"


def _framed(lines: Sequence[str], colour: bool) -> str:
    """Lines of equal width in a frame, which is grey where there are colours."""
    on, off = (_FRAME, _RESET) if colour else ("", "")
    bar, side = "─" * visible_width(lines[0]), f"{on}│{off}"
    inside = [f"{side}{line}{side}" for line in lines]
    return "\n".join([f"{on}┌{bar}┐{off}", *inside, f"{on}└{bar}┘{off}"])


def _title(panel: Panel, colour: bool) -> str:
    lines = panel.caption()
    if colour and panel.right is not None:
        lines[0] = f"{_RIGHT if panel.right else _WRONG}{lines[0]}{_RESET}"
    return "\n".join(lines)


def _marked(text: str, answer: str, colour: bool) -> str:
    """Marks where a drawing differs from the answer's, which has no colours.

    Without colours a star takes the place of the blank behind each such cell.
    """
    marked: list[str] = []
    place, star = 0, False
    for part in re.split(f"({_ESCAPE.pattern})", text):
        if _ESCAPE.fullmatch(part):
            marked.append(part)
            continue
        for character in part:
            differs = character != answer[place]
            if colour:
                marked.append(f"{_MISTAKE}{character}{_RESET}" if differs else character)
            else:
                marked.append("*" if star else character)
            place, star = place + 1, differs
    return "".join(marked)
