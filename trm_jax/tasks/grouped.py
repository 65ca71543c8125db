"""Methods of tasks whose puzzles are groups of examples with rows of the puzzle table (ARC)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NoReturn

import numpy as np
from numpy.typing import NDArray

from trm_jax.core.errors import UserError
from trm_jax.data.format import Dataset
from trm_jax.data.rows import Rows
from trm_jax.tasks.board import Grid

Shape = Mapping[str, Any]
"""The form of a task's puzzles: a dataset's manifest, or the part of it that defines the form."""

Tokens = NDArray[np.uint8]


class Grouped:
    """The methods of a task for groups of examples; by default each raises a UserError.

    Attributes:
      name: name of the task.
    """

    name: ClassVar[str]

    def dataset_of_file(self, path: Path, copies: int, shape: Shape | None = None) -> list[Dataset]:
        """Reads the puzzles of a file for `trm show`, each as a separate dataset.

        Args:
          path: path of a file with one of `file_suffixes`.
          copies: number of copies of each puzzle, besides the original.
          shape: form of the puzzles that the model was trained on, if there is a model.
        """
        self.lacks("files that are read without a model", "give a dataset directory")

    def groups_of_files(self, paths: list[str], shape: Shape, copies: int) -> Dataset:
        """Reads grouped puzzles: demonstrations become the split "train", tests "test".

        Args:
          paths: paths of the files.
          shape: form of the puzzles that the model was trained on.
          copies: number of copies of each puzzle, besides the original.

        Raises:
          UserError: a file is malformed, or does not fit the model.
        """
        self.lacks("puzzles with demonstrations", "give puzzles as text")

    def groups_of(self, content: Any, shape: Shape, copies: int) -> Dataset:
        """Reads grouped puzzles from Python objects, in a format that depends on the task."""
        self.lacks("puzzles with demonstrations", "give puzzles as text")

    def attempt_grid(self, attempt: Any) -> Grid:
        """An attempt of a submission as a grid, uint8 [rows, columns]."""
        self.lacks("puzzles with demonstrations", "give puzzles as text")

    def row_name(self, dataset: Dataset, row: int) -> str:
        """The name of a row of the puzzle table, for users."""
        return dataset.rows.name(row)

    def rows_of_names(self, names: Sequence[str], where: str) -> tuple[Rows, NDArray[np.int64]]:
        """Rows of the puzzle table from their published names.

        Args:
          names: names of the rows.
          where: file with the names, for errors.

        Returns:
          The rows, and the index of each in `names`, int64 [R].
        """
        self.lacks("rows of the puzzle table by name", "leave --data out")

    def lacks(self, what: str, remedy: str) -> NoReturn:
        """Raises a UserError which says that the task lacks a feature.

        Args:
          what: name of the feature, in words.
          remedy: what the user can do instead, in words.
        """
        raise UserError(f"the task {self.name!r} has no {what}; {remedy}.")
