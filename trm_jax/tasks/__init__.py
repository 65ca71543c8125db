"""The puzzles: each task is one object in one registry, in a folder of its own."""

from trm_jax.tasks.arc.task import ArcTask
from trm_jax.tasks.futoshiki.task import FutoshikiTask
from trm_jax.tasks.maze.task import MazeTask
from trm_jax.tasks.numberlink.task import NumberlinkTask
from trm_jax.tasks.sudoku.task import SudokuTask
from trm_jax.tasks.task import TASKS, Task, task_of

__all__ = ["TASKS", "Task", "task_of"]

for _task in (SudokuTask(), MazeTask(), ArcTask(), FutoshikiTask(), NumberlinkTask()):
    TASKS.register(_task.name, _task)
