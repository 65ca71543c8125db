"""Views and questions of a dataset, as its task defines them."""

from trm_jax.core.randomness import derive_seed
from trm_jax.data import questions as data_questions
from trm_jax.data.format import Dataset
from trm_jax.data.questions import Questions
from trm_jax.data.views import View
from trm_jax.tasks.task import task_of


def view(dataset: Dataset, copies: int, seed: int, *, train: bool) -> View:
    """The view of a dataset for training or evaluation, see `Task.view`.

    Raises:
      UserError: the task is unknown, or does not have such copies.
    """
    seed = derive_seed(seed, "augmentation of a copy")
    return task_of(dataset.manifest).view(dataset, copies, seed, train=train)


def ask(dataset: Dataset, split: str, copies: int = 0, max_puzzles: int = 0) -> Questions:
    """Makes the questions of a split.

    Args:
      dataset: dataset to evaluate.
      split: name of the split.
      copies: if copies vote (ARC), max number of augmented copies besides the original.
      max_puzzles: if puzzles have names (ARC), max number of puzzles; 0 for all.

    Raises:
      UserError: the split is missing or empty, or a number is negative or not used by the task.
    """
    task = task_of(dataset.manifest)
    if not task.grouped:
        if copies:
            task.lacks("copies that vote", "leave config.eval_copies at 0")
        if max_puzzles:
            task.lacks("named puzzles to count", "leave --max_tasks out")
    return data_questions.ask(dataset, view(dataset, copies, 0, train=False), split, max_puzzles)
