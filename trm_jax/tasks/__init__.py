"""The built-in tasks, one package each, and their registry."""

from trm_jax.tasks.arc.task import ArcTask
from trm_jax.tasks.grid.task import GridTask
from trm_jax.tasks.gym.task import GymTask
from trm_jax.tasks.maze.task import MazeTask
from trm_jax.tasks.sudoku.task import SudokuTask
from trm_jax.tasks.task import TASKS, Task, task_of

__all__ = ["TASKS", "Task", "task_of"]

for _task in (SudokuTask(), MazeTask(), ArcTask(), GridTask(), GymTask()):
    TASKS.register(_task.name, _task)
