"""Pictures of puzzles: boards in rows and columns."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from trm_jax.show import figures as draw
from trm_jax.show.boards import FONT, board_size, draw_board
from trm_jax.show.panels import Exhibit, Panel
from trm_jax.show.pencil import UNDECIDED, draw_guess, draw_marks
from trm_jax.show.trace_page import Trace
from trm_jax.tasks.board import Board, Grid

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# inches
MAX_WIDTH = 11.0  # maximum width of a row of panels
BORDER, GAP, LINE = 0.15, 0.25, 0.16
CHARACTER = 0.075  # width of a character of a caption
TITLE_FONT = 10
MARKED_CELL = 0.36  # side of a cell with pencil marks

Row = list[Panel | None]


class Placed(NamedTuple):
    """A panel and the position of its board, in inches from the top left corner."""

    panel: Panel
    left: float
    top: float
    width: float
    height: float


def figure(board: Board, exhibits: Sequence[Exhibit]) -> "Figure":
    """Draws exhibits below one another.

    The question, the answer and the prediction are in one row; for tasks whose grids differ in
    size, they are one column per pair.

    Args:
      board: the boards' appearance.
      exhibits: at least one.

    Raises:
      UserError: matplotlib is not installed.
    """
    # everything is placed from the top left corner, and then determines the page's size
    titles: list[tuple[str, float]] = []
    placed: list[Placed] = []
    down, right = BORDER, 0.0
    for exhibit in exhibits:
        titles.append((exhibit.title, down))
        right = max(right, BORDER + len(exhibit.title) * CHARACTER * TITLE_FONT / FONT)
        down += 1.5 * LINE
        for rows in _blocks(board, exhibit):
            placed += _place(board, rows, down)
            down = max(one.top + one.height for one in placed) + GAP
    right = max(right, *(one.left + max(one.width, _width(board, one.panel)) for one in placed))
    return _draw(board, titles, placed, (right + BORDER, down - GAP + BORDER))


def solving(
    board: Board, question: Grid, path: Grid, confidence: NDArray[np.floating], most: int = 6
) -> "Figure":
    """Draws the question and the answers step by step; cells unlike the last answer are marked.

    Args:
      board: the boards' appearance; all grids have the same size.
      question: uint8 [rows, columns].
      path: uint8 [N, rows, columns], answer after each step.
      confidence: float [N], halting probability after each step.
      most: maximum number of steps to draw: the first ones and the last.
    """
    steps = list(range(len(path))) if len(path) <= most else [*range(most - 1), len(path) - 1]
    asked = Panel("question", question, question)
    width, height = (side + 0.6 for side in board_size(board, asked))
    figure, axes = draw.new_figure(1, len(steps) + 1, (width * (len(steps) + 1), height + 0.3))
    draw_board(axes[0, 0], board, asked)
    axes[0, 0].set_title("question", fontsize=TITLE_FONT)
    for ax, step in zip(axes[0, 1:], steps, strict=True):
        draw_board(ax, board, Panel("", path[step], question, path[-1]))
        ax.set_title(f"step {step + 1}", fontsize=TITLE_FONT)
        ax.set_xlabel(f"confidence: {confidence[step]:.1%}", fontsize=9)
    return figure


def eliminating(trace: Trace, most: int = 6) -> "Figure":
    """Draws the question and the rounds of a lattice model, with the candidates of each cell.

    Args:
      trace: a trace with candidates.
      most: maximum number of rounds to draw: the first ones and the last.
    """
    assert trace.candidates is not None
    board, question, count = trace.board, trace.question, len(trace.path)
    shown = list(range(count)) if count <= most else [*range(most - 1), count - 1]
    rows, columns = question.shape
    cell = MARKED_CELL
    size = (columns * cell + 0.6) * (len(shown) + 1), rows * cell + 1.1
    figure, axes = draw.new_figure(1, len(shown) + 1, size)
    draw_board(axes[0, 0], board, Panel("", question, question))
    axes[0, 0].set_title("question", fontsize=TITLE_FONT)
    for ax, place in zip(axes[0, 1:], shown, strict=True):
        tokens, marked = trace.path[place], trace.marked
        # as in `solving`, cells unlike the last round's are marked; undecided ones are not wrong
        unfinished = (tokens == UNDECIDED) | (trace.path[-1] == UNDECIDED)
        end = np.where(unfinished, tokens, trace.path[-1])
        draw_board(ax, board, Panel("", tokens, question, end))
        draw_marks(ax, board, tokens, trace.candidates[place], cell)
        if marked and (guess := marked[place]) is not None:
            draw_guess(ax, columns, guess)
        ax.set_title(f"round {place + 1}", fontsize=TITLE_FONT)
        words = f"no conflict: {trace.halting[place]:.1%}"
        event = trace.events[place] if trace.events else ""
        ax.set_xlabel(f"{words}\n{event}", fontsize=9)
    return figure


def _draw(
    board: Board,
    titles: list[tuple[str, float]],
    placed: list[Placed],
    page: tuple[float, float],
) -> "Figure":
    """Draws titles, given with their distance from the top, and panels on a page of this size."""
    result = draw.empty_figure(page)
    for title, top in titles:
        place = BORDER / page[0], 1 - top / page[1]
        result.text(*place, title, va="top", fontsize=TITLE_FONT, weight="bold")
    for panel, left, top, width, height in placed:
        place = left / page[0], 1 - (top + height) / page[1]
        axes = result.add_axes((*place, width / page[0], height / page[1]))
        draw_board(axes, board, panel)
        ink = {None: draw.GIVEN, True: draw.RIGHT, False: draw.WRONG}[panel.right]
        axes.set_title("\n".join(panel.caption()), fontsize=FONT, pad=3, color=ink)
    return result


def _blocks(board: Board, exhibit: Exhibit) -> list[list[Row]]:
    """The rows of panels of an exhibit; pairs that are too wide form several blocks."""
    if not board.canvas:
        return [[[*group] for group in exhibit.groups]]
    widths = [max(_width(board, panel) for panel in group) + GAP for group in exhibit.groups]
    blocks: list[list[list[Panel]]] = [[]]
    used, tests = 0.0, exhibit.demonstrations
    for number, (group, width) in enumerate(zip(exhibit.groups, widths, strict=True)):
        # tests stay together if possible, with an empty column between demonstrations and tests
        needed = sum(widths[tests:]) + GAP if number == tests else width
        if blocks[-1] and used + needed > MAX_WIDTH:
            blocks.append([])
            used = 0.0
        elif blocks[-1] and number == tests:
            blocks[-1].append([])
            used += GAP
        blocks[-1].append(group)
        used += width
    return [_transposed(groups) for groups in blocks]


def _transposed(groups: list[list[Panel]]) -> list[Row]:
    height = max(map(len, groups))
    return [[group[i] if i < len(group) else None for group in groups] for i in range(height)]


def _place(board: Board, rows: list[Row], top: float) -> list[Placed]:
    """Places panels in rows and columns, each as large as its largest panel."""
    columns = [
        max((_width(board, panel) for panel in column if panel), default=0.0)
        for column in zip(*rows, strict=True)
    ]
    placed = []
    for row in rows:
        left = BORDER
        top += LINE * max(len(panel.caption()) for panel in row if panel) + 0.05
        for panel, column in zip(row, columns, strict=True):
            if panel:
                width, height = board_size(board, panel)
                placed.append(Placed(panel, left + (column - width) / 2, top, width, height))
            left += column + GAP
        top += max(board_size(board, panel)[1] for panel in row if panel) + GAP / 2
    return placed


def _width(board: Board, panel: Panel) -> float:
    """Width of a panel, board and caption, in inches."""
    return max(board_size(board, panel)[0], CHARACTER * max(map(len, panel.caption())))
