"""What an evaluation asks: examples of a split, in as many of their copies as are voted over."""

import dataclasses

import numpy as np
from numpy.typing import NDArray

from trm_jax.core.errors import UserError
from trm_jax.data.format import Dataset
from trm_jax.data.rows import Rows
from trm_jax.data.views import Numbers, Shown, View


@dataclasses.dataclass(frozen=True)
class Questions:
    """Questions in a fixed order, m of them.

    Attributes:
      dataset: that they are from.
      view: which shows them.
      examples: int64 [m], of the data set.
      copies: int64 [m], which copy of the example; 0 is the original.
    """

    dataset: Dataset
    view: View
    examples: Numbers
    copies: Numbers

    def __len__(self) -> int:
        """Number of questions."""
        return len(self.examples)

    def show(self, places: Numbers) -> Shown:
        """The questions [b], their answers, and their rows in the data set's own table."""
        return self.view.show(self.examples[places], self.copies[places])

    def answered(self) -> NDArray[np.bool_]:
        """Whether the answer is known, bool [m]."""
        return np.any(self.dataset.labels > 0, axis=1)[self.examples]


def ask(dataset: Dataset, view: View, split: str, max_puzzles: int = 0) -> Questions:
    """Questions of a split; where puzzles have rows of their own, one for each copy of each.

    Args:
      dataset: any.
      view: of it.
      split: its name.
      max_puzzles: the first so many named puzzles; 0 takes all.

    Raises:
      UserError: the split is missing or empty, or a number is negative.
    """
    examples = dataset.examples(split)
    if max_puzzles < 0:
        raise UserError(f"the number of puzzles to ask is {max_puzzles}; give 0 for all, or more.")
    if not dataset.rows.grouped:
        return Questions(dataset, view, examples, np.zeros(len(examples), np.int64))
    if max_puzzles:
        puzzles = dataset.puzzles()[examples]
        examples = examples[np.isin(puzzles, np.unique(puzzles)[:max_puzzles])]
    counts = view.count(examples)
    first = np.cumsum(counts) - counts
    copies = np.arange(counts.sum()) - np.repeat(first, counts)
    return Questions(dataset, view, np.repeat(examples, counts), copies)


def trained_rows(questions: Questions, trained: Rows, *, blank: bool = False) -> np.ndarray:
    """Which row of a trained table each row of the questions' data set is, by name.

    Args:
      questions: which are to be asked.
      trained: whose the rows of the table are.
      blank: rows that the table lacks are replaced by the blank one, not refused.

    Returns:
      int32 [R of the data set]; what no question needs may be -1.

    Raises:
      UserError: the table lacks rows that the questions need.
    """
    rows = questions.dataset.rows
    found = trained.find(rows)
    ids = questions.dataset.ids[questions.examples] + (questions.copies if rows.grouped else 0)
    missing = np.unique(ids[found[ids] < 0])
    if blank:
        return np.maximum(found, 0).astype(np.int32)
    if len(missing):
        raise UserError(
            f"{len(missing):,} of the {len(np.unique(ids)):,} rows that the questions need are not "
            f"in the model's puzzle table of {len(trained):,} rows, {rows.name(int(missing[0]))!r} "
            "first; give the data set it was trained on, or one with the same seed and no more "
            "copies, or let `trm solve` fit new rows."
        )
    return found.astype(np.int32)
