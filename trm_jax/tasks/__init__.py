"""The built-in tasks, one package each, and their registry."""

from trm_jax.tasks.arc.task import ArcTask
from trm_jax.tasks.futoshiki.task import FutoshikiTask
from trm_jax.tasks.grid.task import GridTask
from trm_jax.tasks.gym.task import GymTask
from trm_jax.tasks.maze.task import MazeTask
from trm_jax.tasks.numberlink.task import NumberlinkTask
from trm_jax.tasks.sudoku.task import SudokuTask
from trm_jax.tasks.task import TASKS, Task, task_of

__all__ = ["TASKS", "Task", "task_of"]

_TASKS: tuple[Task, ...] = (
    SudokuTask(),
    MazeTask(),
    ArcTask(),
    FutoshikiTask(),
    NumberlinkTask(),
    GridTask(),
    GymTask(),
)

for _task in _TASKS:
    TASKS.register(_task.name, _task)
