"""Pictures of puzzles: ARC grids, mazes and Sudokus, with predictions beside their answers."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from trm_jax.show import figures as draw
from trm_jax.show.panels import Board, Kind, Panel
from trm_jax.tasks.maze.maze import Maze
from trm_jax.tasks.sudoku.sudoku import Sudoku

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# one #rrggbb each
ARC_COLOURS = "#000000#0074D9#FF4136#2ECC40#FFDC00#AAAAAA#F012BE#FF851B#7FDBFF#870C25"
MAZE_COLOURS = "#C9A0DC#2B2D36#F6F6F1#0A7D33#C62828#7DB7F0"
"""Of pad, wall, free cell, start, goal and path."""

SUDOKU_CELL = 0.28  # inches
MAZE_SIDE, MAZE_CELL = 2.6, (0.075, 0.25)  # inches of a board, and limits of its cells
ARC_SIDE, ARC_CELL = 1.7, (0.06, 0.2)
FONT = 8  # points, as everywhere in matplotlib


def arc_grid(axes: "Axes", grid: Board, answer: Board | None = None) -> None:
    """Draws an ARC grid.

    Args:
        axes: to draw on.
        grid: uint8 [rows, columns], colours 0 to 9.
        answer: of the same shape; cells that differ from it are crossed out.
    """
    _cells(axes, grid, ARC_COLOURS)
    rows, columns = grid.shape
    axes.vlines(range(columns + 1), 0, rows, colors="#666666", linewidths=0.5)
    axes.hlines(range(rows + 1), 0, columns, colors="#666666", linewidths=0.5)
    if answer is not None:
        _cross_out(axes, grid != answer, _inches(max(rows, columns), ARC_SIDE, ARC_CELL))


def maze_grid(axes: "Axes", maze: Maze, tokens: Board, answer: Board | None = None) -> None:
    """Draws a maze.

    Args:
        axes: to draw on.
        maze: the kind of puzzle.
        tokens: uint8 [S].
        answer: uint8 [S]; cells that differ from it are crossed out.
    """
    board = tokens.reshape(maze.side, maze.side)
    _cells(axes, board, MAZE_COLOURS)
    inches = _inches(maze.side, MAZE_SIDE, MAZE_CELL)
    size = min(FONT, 72 * inches * 0.9)
    for cell, symbol in enumerate(maze.format_line(tokens)):
        if symbol in "SG":
            row, column = divmod(cell, maze.side)
            style: dict[str, Any] = {
                "ha": "center",
                "va": "center_baseline",
                "weight": "bold",
                "fontsize": size,
            }
            axes.text(column + 0.5, row + 0.5, symbol, color="white", **style)
    if answer is not None:
        _cross_out(axes, board != answer.reshape(board.shape), inches, draw.WRONG)


def board(axes: "Axes", kind: Kind, panel: Panel) -> None:
    """Draws the board of a panel; cells where a prediction is wrong are marked.

    Args:
        axes: to draw on.
        kind: of the puzzle.
        panel: a question mark is drawn where nobody knows the board.
    """
    tokens, answer = panel.board, panel.answer
    if tokens is None or not tokens.size:
        axes.set(xlim=(0, 1), ylim=(0, 1), xticks=[], yticks=[], aspect="equal")
        sign = "?" if tokens is None else "–"
        axes.text(0.5, 0.5, sign, ha="center", va="center", fontsize=18, color=draw.GREY)
    elif kind is None:
        arc_grid(axes, tokens, None if panel.wrong_cells() is None else answer)
    elif isinstance(kind, Maze):
        maze_grid(axes, kind, tokens, answer)
    else:
        _sudoku(axes, kind, panel, tokens)


def board_size(kind: Kind, panel: Panel) -> tuple[float, float]:
    """Width and height in inches of the board of a panel."""
    if isinstance(kind, Sudoku):
        return kind.side * SUDOKU_CELL, kind.side * SUDOKU_CELL
    if isinstance(kind, Maze):
        side = kind.side * _inches(kind.side, MAZE_SIDE, MAZE_CELL)
        return side, side
    if panel.board is None or not panel.board.size:
        return 0.6, 0.6
    rows, columns = panel.board.shape
    cell = _inches(max(rows, columns), ARC_SIDE, ARC_CELL)
    return columns * cell, rows * cell


def _inches(cells: int, side: float, limits: tuple[float, float]) -> float:
    """Of a cell, so that so many fit on a side, within limits."""
    return float(np.clip(side / cells, *limits))


def _sudoku(axes: "Axes", sudoku: Sudoku, panel: Panel, tokens: Board) -> None:
    question = tokens if panel.question is None else panel.question
    draw.sudoku_grid(
        axes, sudoku, question, tokens, tokens if panel.answer is None else panel.answer
    )
    wrong = panel.wrong_cells()
    if wrong is not None:  # a blank, or a given that became something else, shows no red digit
        shade = np.zeros((sudoku.side, sudoku.side, 4))
        shade[wrong.reshape(shade.shape[:2])] = 0.99, 0.85, 0.85, 1
        axes.imshow(shade, extent=(0, sudoku.side, sudoku.side, 0), zorder=0)


def _cells(axes: "Axes", board: Board, colours: str) -> None:
    """Fills cells [rows, columns] with colours, and sets the limits of the axes."""
    rgb = np.frombuffer(bytes.fromhex(colours.replace("#", "")), np.uint8).reshape(-1, 3)
    rows, columns = board.shape
    axes.imshow(rgb[board], extent=(0, columns, rows, 0), interpolation="nearest", aspect="equal")
    axes.set(xlim=(0, columns), ylim=(rows, 0), xticks=[], yticks=[])


def _cross_out(axes: "Axes", wrong: NDArray[np.bool_], inches: float, core: str = "black") -> None:
    """Crosses in cells [rows, columns] of so many inches, white with a core: for every colour."""
    lines = []
    for row, column in np.argwhere(wrong).tolist():
        near, far = 0.22, 0.78
        for top, bottom in ((near, far), (far, near)):
            lines.append([(column + near, row + top), (column + far, row + bottom)])
    if not lines:
        return
    from matplotlib.collections import LineCollection

    for colour, width in (("white", 0.2), (core, 0.09)):
        points = min(72 * inches, 10) * width
        axes.add_collection(LineCollection(lines, colors=colour, linewidths=points), autolim=False)
