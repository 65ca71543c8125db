"""Draws boards with matplotlib: letters on white ("paper") or coloured cells."""

from typing import TYPE_CHECKING, Any

import numpy as np

from trm_jax.show import figures as draw
from trm_jax.show.panels import Cells, Panel, given_cells, mistaken_cells
from trm_jax.tasks.board import PAPER, Board, Grid, Token

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# inches: a board's longer side, and the smallest and largest side of its cells
PAPER_SIDE, PAPER_CELL = 7.0, (0.16, 0.28)
FILLED_SIDE, FILLED_CELL = 2.6, (0.075, 0.25)
CANVAS_SIDE, CANVAS_CELL = 1.7, (0.06, 0.2)
NOTHING = 0.6  # inches: side of the space for an unknown board

FONT = 8  # points
LETTER = 11  # points, in the largest cells of paper
FILLED_LINE = "#666666"
WRONG_PAPER = "#fcd9d9"


def draw_board(axes: "Axes", board: Board, panel: Panel) -> None:
    """Draws the board of a panel, with wrong cells of a prediction marked.

    Wrong coloured cells are crossed out, and wrong letters on paper are red on light red. Letters
    in cells that the question leaves open are green where they are correct.

    Args:
      axes: axes to draw on.
      board: the board's appearance.
      panel: the panel; an unknown board is drawn as a question mark.
    """
    grid = panel.board
    if grid is None or not grid.size:
        axes.set(xlim=(0, 1), ylim=(0, 1), xticks=[], yticks=[], aspect="equal")
        sign = "?" if grid is None else "–"
        axes.text(0.5, 0.5, sign, ha="center", va="center", fontsize=18, color=draw.GREY)
        return
    rows, columns = grid.shape
    mistaken = mistaken_cells(board, panel)
    _fill(axes, board, grid, mistaken)
    _rule(axes, board, rows, columns)
    _write(axes, board, panel, mistaken)
    filled = np.asarray([bool(token.fill) for token in board.tokens])[grid]
    _cross_out(axes, mistaken & filled, _cell_inches(board, max(rows, columns)))
    axes.set(xlim=(0, columns), ylim=(rows, 0), xticks=[], yticks=[], aspect="equal")


def board_size(board: Board, panel: Panel) -> tuple[float, float]:
    """Width and height of a panel's board, in inches."""
    rows, columns = board.rows, board.columns
    if panel.board is not None:
        rows, columns = panel.board.shape
    if not rows * columns or (board.canvas and panel.board is None):
        return NOTHING, NOTHING
    cell = _cell_inches(board, max(rows, columns))
    return columns * cell, rows * cell


def _cell_inches(board: Board, cells: int) -> float:
    """Side of a cell in inches, for `cells` cells on the board's longer side."""
    side, limits = (FILLED_SIDE, FILLED_CELL) if board.filled else (PAPER_SIDE, PAPER_CELL)
    if board.canvas:
        side, limits = CANVAS_SIDE, CANVAS_CELL if board.filled else PAPER_CELL
    return float(np.clip(side / cells, *limits))


def _fill(axes: "Axes", board: Board, grid: Grid, mistaken: Cells) -> None:
    """Fills the cells with their colours, and wrong cells of paper with light red."""
    rows, columns = grid.shape
    fills = np.asarray([draw.rgb(token.fill or PAPER) for token in board.tokens], np.uint8)
    paper = np.asarray([not token.fill for token in board.tokens])
    image = fills[grid]
    image[mistaken & paper[grid]] = draw.rgb(WRONG_PAPER)
    extent = (0, columns, rows, 0)
    axes.imshow(image, extent=extent, interpolation="nearest", aspect="equal", zorder=0)


def _rule(axes: "Axes", board: Board, rows: int, columns: int) -> None:
    """Draws thin lines between cells and thick ones around boxes."""
    if board.lines:
        colour = FILLED_LINE if board.filled else draw.GREY
        axes.hlines(range(rows + 1), 0, columns, colors=colour, linewidths=0.5)
        axes.vlines(range(columns + 1), 0, rows, colors=colour, linewidths=0.5)
    high, wide = board.box
    if high:
        axes.hlines(range(0, rows + 1, high), 0, columns, colors=draw.GIVEN, linewidths=1.5)
    if wide:
        axes.vlines(range(0, columns + 1, wide), 0, rows, colors=draw.GIVEN, linewidths=1.5)


def _write(axes: "Axes", board: Board, panel: Panel, mistaken: Cells) -> None:
    """Writes the letters of the cells that have one."""
    grid = panel.board
    assert grid is not None
    inches = _cell_inches(board, max(grid.shape))
    # a board without a question is a question itself: all its letters are givens
    question = grid if panel.question is None else panel.question
    given = given_cells(board, question, grid)
    longest = max(len(token.letter) for token in board.tokens)
    for (row, column), value in np.ndenumerate(grid):
        token = board.tokens[value]
        if not token.letter:
            continue
        style = _filled_style(token, inches)
        if not token.fill:
            style = _paper_style(bool(given[row, column] or board.canvas), inches)
            if mistaken[row, column]:
                style["color"] = draw.WRONG
        style["fontsize"] /= max(1, 0.7 * longest)
        axes.text(column + 0.5, row + 0.5, token.letter, ha="center", **style)


def _filled_style(token: Token, inches: float) -> dict[str, Any]:
    from matplotlib.patheffects import withStroke

    size = min(FONT, 72 * inches * 0.9)
    return {
        # an outline in the cell's colour keeps the letter legible on a faded cell
        "path_effects": [withStroke(linewidth=size / 6, foreground=token.fill or PAPER)],
        "color": draw.ink(token.fill or PAPER),
        "weight": "bold",
        "fontsize": size,
        "va": "center_baseline",
    }


def _paper_style(given: bool, inches: float) -> dict[str, Any]:
    return {
        "color": draw.GIVEN if given else draw.RIGHT,
        "weight": "bold" if given else "normal",
        "fontsize": LETTER * min(1, inches / PAPER_CELL[1]),
        "va": "center_baseline",
    }


def _cross_out(axes: "Axes", wrong: Cells, inches: float) -> None:
    """Draws crosses in cells of `inches` inches, red with a white edge to contrast any colour."""
    lines = []
    for row, column in np.argwhere(wrong).tolist():
        near, far = 0.22, 0.78
        for top, bottom in ((near, far), (far, near)):
            lines.append([(column + near, row + top), (column + far, row + bottom)])
    if not lines:
        return
    from matplotlib.collections import LineCollection

    for colour, width in (("white", 0.2), (draw.WRONG, 0.09)):
        points = min(72 * inches, 10) * width
        axes.add_collection(LineCollection(lines, colors=colour, linewidths=points), autolim=False)
