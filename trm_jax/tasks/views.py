"""A data set as its own task shows it: for training, and as the questions of an evaluation."""

from trm_jax.core.randomness import derive_seed
from trm_jax.data import questions as data_questions
from trm_jax.data.format import Dataset
from trm_jax.data.questions import Questions
from trm_jax.data.views import View
from trm_jax.tasks.task import task_of


def view(dataset: Dataset, copies: int, seed: int, *, train: bool) -> View:
    """The examples of a data set and their augmented copies; see `Task.view`.

    Raises:
      UserError: the task is unknown, or has no such copies.
    """
    seed = derive_seed(seed, "augmentation of a copy")
    return task_of(dataset.manifest).view(dataset, copies, seed, train=train)


def ask(dataset: Dataset, split: str, copies: int = 0, max_puzzles: int = 0) -> Questions:
    """Questions of a split.

    Args:
      dataset: any.
      split: its name.
      copies: where puzzles vote by their copies, so many of each at most, besides the original.
      max_puzzles: where puzzles have names, the first so many; 0 takes all.

    Raises:
      UserError: the split is missing or empty, or a number is negative.
    """
    task = task_of(dataset.manifest)
    if not task.grouped:
        if copies:
            task.lacks("copies that vote", "leave config.eval_copies at 0")
        if max_puzzles:
            task.lacks("named puzzles to count", "leave --max_tasks out")
    return data_questions.ask(dataset, view(dataset, copies, 0, train=False), split, max_puzzles)
