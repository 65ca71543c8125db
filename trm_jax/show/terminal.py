"""Draws puzzles side by side in a terminal, with colours or as plain text."""

import os
import re
from collections.abc import Callable, Sequence
from itertools import zip_longest
from typing import TextIO

import numpy as np

from trm_jax.core.errors import UserError
from trm_jax.show.figures import LIGHT_INK, ink, rgb
from trm_jax.show.panels import Cells, Exhibit, Panel, given_cells, mistaken_cells
from trm_jax.tasks.board import Board, Grid, Token

COLOUR_MODES = ("auto", "always", "never")
GAP, WIDE_GAP = 3, 6  # columns between two boards, and between two groups of boards
UNKNOWN = "?"

_ESCAPE = re.compile(r"\x1b\[[0-9;]*m")
_RESET = "\x1b[0m"
# SGR codes
_BOLD, _RIGHT, _WRONG, _MISTAKE, _NEW, _FRAME = "1", "32", "31", "97;41", "36", "90"
_BACKGROUND = "48;"
# levels of red, green and blue in the 256 colours of terminals
_CUBE = np.asarray((0, 95, 135, 175, 215, 255))


def use_colour(mode: str, stream: TextIO) -> bool:
    """Whether to use colours in a stream.

    Args:
      mode: one of COLOUR_MODES; "auto" uses colours in terminals, unless NO_COLOR is set.
      stream: for example `sys.stdout`.

    Raises:
      UserError: the mode is unknown.
    """
    if mode not in COLOUR_MODES:
        raise UserError(f"colour is {mode!r}; use one of {', '.join(COLOUR_MODES)}.")
    return mode == "always" or (
        mode == "auto" and stream.isatty() and not os.environ.get("NO_COLOR")
    )


def plain(text: str) -> str:
    """A text without ANSI colour codes."""
    return _ESCAPE.sub("", text)


def visible_width(text: str) -> int:
    """Number of columns of the longest line of a text, without colour codes."""
    return max(map(len, plain(text).split("\n")))


def beside(boards: Sequence[str], titles: Sequence[str], width: int, gap: int = GAP) -> str:
    """Arranges boards side by side, in as many rows as the width requires.

    Args:
      boards: at least one text of one or more lines, coloured or not.
      titles: a title per board, of one or more lines, to put above it.
      width: columns of the terminal; a wider board has a row of its own.
      gap: columns between two boards.

    Returns:
      Lines without trailing blanks.
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


def render(board: Board, panel: Panel, colour: bool) -> str:
    """Draws the board of a panel, with wrong cells of a prediction marked.

    Boards have a frame, except uncoloured grids of tasks whose grids differ in size. Coloured cells
    are two characters wide. With colours, letters in cells that the question leaves open are
    highlighted.

    Args:
      board: the board's appearance.
      panel: the panel; an unknown board is drawn as a question mark.
      colour: whether to use ANSI colours; without them, wrong cells are marked with a star.
    """
    grid = panel.board
    if grid is None:
        return UNKNOWN
    if not grid.size:
        return "(no grid)"
    mistaken = mistaken_cells(board, panel)
    if board.filled:
        drawn = _areas(board, grid, mistaken, colour)
        if board.canvas and not colour:
            return "\n".join("".join(row).rstrip() for row in drawn)
        return _framed(drawn, board, "", colour)
    new = np.zeros(grid.shape, bool)
    if panel.question is not None and panel.question.shape == grid.shape:
        new = (grid != panel.question) & ~given_cells(board, panel.question, grid)
    return _framed(_letters(board, grid, mistaken, new, colour), board, " ", colour)


def show(board: Board, exhibit: Exhibit, width: int, colour: bool) -> str:
    """Draws an exhibit: its title, and its groups of boards side by side.

    Args:
      board: the boards' appearance.
      exhibit: the exhibit.
      width: columns of the terminal.
      colour: whether to use ANSI colours.
    """
    groups = [
        beside(
            [render(board, panel, colour) for panel in group],
            [_title(panel, colour) for panel in group],
            width,
        )
        for group in exhibit.groups
    ]
    title = _styled(exhibit.title, _BOLD if colour else "")
    return f"{title}\n{beside(groups, [''] * len(groups), width, WIDE_GAP)}"


def _row(row: Sequence[tuple[str, str, int]], gap: int) -> str:
    """One row of boards: titles padded to the same height, and the boards below them."""
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


def _letters(board: Board, grid: Grid, wrong: Cells, new: Cells, colour: bool) -> list[list[str]]:
    """Each cell's letter, followed by a blank, or by a star if it is wrong."""
    longest = max(len(token.text) for token in board.tokens)

    def cell(token: Token, wrong: bool, new: bool) -> str:
        text = token.text.rjust(longest)
        if not colour:
            return text + ("*" if wrong else " ")
        style = token.ansi or (_NEW if new else "")
        return _styled(text, _MISTAKE if wrong else style) + " "

    return _cells(board, grid, cell, wrong, new)


def _areas(board: Board, grid: Grid, wrong: Cells, colour: bool) -> list[list[str]]:
    """Two characters for each cell; more where the text of some has several."""
    longest = max(len(token.text) for token in board.tokens)
    width = longest + 1 if longest > 1 else 2

    def cell(token: Token, wrong: bool) -> str:
        wide = token.wide or token.text.ljust(width)
        marked = f"{wide[0]}*" if wrong else wide  # the first half still shows the token
        if not colour:
            return marked
        style = token.ansi
        if not style and token.fill and not token.wide:  # no style for terminals is given
            style = _background(token.fill)
        if _BACKGROUND not in style:
            return _styled(marked, _MISTAKE if wrong else style)
        letter = token.letter[:width]
        return _styled((f"{letter or '>'}<" if wrong else letter).ljust(width)[:width], style)

    return _cells(board, grid, cell, wrong)


def _cells(board: Board, grid: Grid, draw: Callable[..., str], *marks: Cells) -> list[list[str]]:
    """Applies `draw` to each cell: to its token, and to whether it is in each of the marks."""
    facts = np.stack([grid, *marks], axis=-1).tolist()
    return [
        [draw(board.tokens[token], *map(bool, marked)) for token, *marked in row] for row in facts
    ]


def _styled(text: str, style: str) -> str:
    return f"\x1b[{style}m{text}{_RESET}" if style else text


def _background(fill: str) -> str:
    """SGR codes of the terminal colour nearest to #rrggbb as background, and of legible letters."""
    distance = np.abs(_CUBE[None] - np.asarray(rgb(fill))[:, None])
    red, green, blue = distance.argmin(axis=1).tolist()
    letters = 97 if ink(fill) == LIGHT_INK else 30
    return f"{letters};{_BACKGROUND}5;{16 + 36 * red + 6 * green + blue}"


def _framed(drawn: list[list[str]], board: Board, before: str, colour: bool) -> str:
    """Puts a frame around cells of one width, with lines between boxes.

    Args:
      drawn: cells [rows][columns] of one width.
      board: the board, which has the size of the boxes.
      before: text before the first cell of each box.
      colour: whether to draw the frame in grey.
    """
    rows, columns, width = len(drawn), len(drawn[0]), visible_width(drawn[0][0])
    high, wide = board.box[0] or rows, board.box[1] or columns
    starts = range(0, columns, wide)
    bars = ["─" * (width * (min(start + wide, columns) - start) + len(before)) for start in starts]
    frame = _FRAME if colour else ""
    side = _styled("│", frame)
    lines = [_styled(f"┌{'┬'.join(bars)}┐", frame)]
    for number, row in enumerate(drawn):
        if number and number % high == 0:
            lines.append(_styled(f"├{'┼'.join(bars)}┤", frame))
        boxes = (before + "".join(row[start : start + wide]) for start in starts)
        lines.append(f"{side}{side.join(boxes)}{side}")
    return "\n".join([*lines, _styled(f"└{'┴'.join(bars)}┘", frame)])


def _title(panel: Panel, colour: bool) -> str:
    lines = panel.caption()
    if colour and panel.right is not None:
        lines[0] = _styled(lines[0], _RIGHT if panel.right else _WRONG)
    return "\n".join(lines)
