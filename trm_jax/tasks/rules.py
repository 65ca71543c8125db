"""Whether an answer keeps its task's rules, without looking at the label."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from trm_jax.core.grids import FIRST_DIGIT
from trm_jax.tasks.maze import score as maze_path
from trm_jax.tasks.maze.maze import Maze
from trm_jax.tasks.sudoku.sudoku import Sudoku

Check = Callable[[NDArray[np.uint8], NDArray[np.uint8]], NDArray[np.bool_]]


def rules(kind: Sudoku | Maze) -> Check:
    """A function of questions and answers, uint8 [B, S] each; says which answers are right.

    Of a Sudoku with one solution that is the label; a maze may have several shortest paths, of
    which the label marks one.
    """
    if isinstance(kind, Maze):
        return lambda questions, answers: maze_path.score(questions, answers, kind.side)[1]

    def check(questions: NDArray[np.uint8], answers: NDArray[np.uint8]) -> NDArray[np.bool_]:
        kept = ((questions == answers) | (questions < FIRST_DIGIT)).all(axis=1)
        return kept & kind.valid_answers(answers)

    return check
