"""Traces of all kinds of puzzles, made by hand."""

import numpy as np

from trm_jax.show.trace_page import Trace
from trm_jax.show.trace_record import Seen, arc_trace
from trm_jax.tasks.arc.canvas import to_canvas
from trm_jax.tasks.maze.maze import Maze
from trm_jax.tasks.sudoku.sudoku import Sudoku

STEPS = 4
SUDOKU, MAZE = Sudoku(2, 2), Maze(5)
GRIDS = ("1234341221434321", "1234341221434321", "1234342121434312", "1234341221434321")


def sudoku_trace(name="puzzle 1", steps=STEPS):
    """The third answer differs from its neighbours in four cells."""
    path = np.stack([SUDOKU.parse(GRIDS[i % 4]) for i in range(steps)]).reshape(-1, 4, 4)
    question = SUDOKU.parse("12..34....43....").reshape(4, 4)
    right = [i % 4 != 2 for i in range(steps)]
    return _trace(name, SUDOKU, question, path, right, "solved" if right[-1] else "NOT solved")


def maze_trace(name="puzzle 2"):
    """Four answers, each one cell longer."""
    question = MAZE.parse("S....####.#...#.####....G").reshape(5, 5)
    path = np.stack([question] * STEPS)
    for step in range(STEPS):
        path[step, 0, 1 : step + 2] = 5
    return _trace(name, MAZE, question, path, [False] * STEPS, "NOT solved (no path)")


def seen_grids(grids, side, confidence=0.75):
    """What is seen of a test where a model answers with these grids."""
    answers = np.stack([to_canvas(np.asarray(grid, np.uint8), side) for grid in grids])
    return Seen(
        answers,
        np.full(answers.shape, confidence, np.float16),
        np.linspace(-2, 2, len(grids)).astype(np.float32),
    )


def some_arc_trace(name="task a, test 1", answer=((3, 3), (3, 3))):
    """Answers of 1x1, 2x3, none at all, and 2x2 cells; the last is right."""
    side = 6
    grids = [[[1]], [[3, 3, 1], [3, 4, 1]], np.zeros((0, 0)), [[3, 3], [3, 3]]]
    question = to_canvas(np.asarray([[1, 2], [3, 4], [5, 6]], np.uint8), side)
    label = np.zeros_like(question)
    if answer is not None:
        label = to_canvas(np.asarray(answer, np.uint8), side)
    return arc_trace(name, question, label, seen_grids(grids, side))


def all_kinds():
    """A Sudoku, a maze, two of ARC's tests, and a Sudoku of one step."""
    return [
        sudoku_trace(),
        maze_trace(),
        some_arc_trace(),
        some_arc_trace("unknown, test 1", None),
        sudoku_trace("short", steps=1),
    ]


def _trace(name, kind, question, path, right, verdict):
    confidence = np.linspace(0.2, 1, path.size).reshape(path.shape)
    halting = np.linspace(0.1, 0.9, len(path))
    return Trace(name, kind, question, path, confidence, halting, right, verdict)
