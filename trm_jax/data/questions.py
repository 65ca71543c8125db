"""The questions of an evaluation: examples of a split, with the augmented copies that vote."""

import dataclasses

import numpy as np
from numpy.typing import NDArray

from trm_jax.core.errors import UserError
from trm_jax.data.format import Dataset
from trm_jax.data.rows import Rows
from trm_jax.data.views import Numbers, Shown, View


@dataclasses.dataclass(frozen=True)
class Questions:
    """A fixed sequence of m questions.

    Attributes:
      dataset: dataset of the examples.
      view: makes the augmented copies.
      examples: int64 [m], index of the example in the dataset.
      copies: int64 [m], which augmented copy of the example; 0 is the original.
    """

    dataset: Dataset
    view: View
    examples: Numbers
    copies: Numbers

    def __len__(self) -> int:
        """Number of questions."""
        return len(self.examples)

    def show(self, places: Numbers) -> Shown:
        """Questions and answers at the indices `places` [b], and their rows in this dataset."""
        return self.view.show(self.examples[places], self.copies[places])

    def answered(self) -> NDArray[np.bool_]:
        """Whether each question's answer is known, bool [m]."""
        return np.any(self.dataset.labels > 0, axis=1)[self.examples]


def ask(dataset: Dataset, view: View, split: str, max_puzzles: int = 0) -> Questions:
    """Makes the questions of a split: one per example, or one per augmented copy.

    Copies are asked where puzzles have puzzle-table rows of their own (ARC), since each copy has
    its own row.

    Args:
      dataset: dataset to evaluate.
      view: view of the dataset.
      split: name of the split.
      max_puzzles: max number of named puzzles, the first ones are taken; 0 for all.

    Raises:
      UserError: the split is missing or empty, or `max_puzzles` is negative.
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
    """Maps rows of the questions' dataset to rows of a trained puzzle table, by name.

    Args:
      questions: questions to evaluate.
      trained: rows of the trained table.
      blank: whether rows missing from the table are replaced by the blank row instead of refused.

    Returns:
      int32 [R of the dataset], rows of the trained table; -1 for a missing row that no question
      needs.

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
            "first; give the dataset it was trained on, or one with the same seed and no more "
            "copies, or let `trm solve` fit new rows."
        )
    return found.astype(np.int32)
