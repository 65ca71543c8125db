"""What tasks can do whose puzzles are groups of examples, with rows of the puzzle table (ARC)."""

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
"""What fixes the form of a task's puzzles: a dataset's manifest, or the part of it that does."""

Tokens = NDArray[np.uint8]


class Grouped:
    """The methods of a task that are about groups of examples; by default each is refused.

    Attributes:
      name: of the task.
    """

    name: ClassVar[str]

    def dataset_of_file(self, path: Path, copies: int, shape: Shape | None = None) -> list[Dataset]:
        """The puzzles of a file for `trm show`, each as a dataset of its own.

        Args:
          path: of a file that ends in one of `file_suffixes`.
          copies: of each puzzle, besides the original.
          shape: of the model that will answer them, if there is one.
        """
        self.lacks("files that are read without a model", "give a dataset directory")

    def groups_of_files(self, paths: list[str], shape: Shape, copies: int) -> Dataset:
        """Reads grouped puzzles: demonstrations become the split "train", tests "test".

        Args:
          paths: of the files.
          shape: of the model that will answer them.
          copies: of each puzzle, besides the original.

        Raises:
          UserError: something in a file is wrong, or does not fit the model.
        """
        self.lacks("puzzles with demonstrations", "give puzzles as text")

    def groups_of(self, content: Any, shape: Shape, copies: int) -> Dataset:
        """Reads grouped puzzles from Python objects, in whatever form the task takes them."""
        self.lacks("puzzles with demonstrations", "give puzzles as text")

    def attempt_grid(self, attempt: Any) -> Grid:
        """An attempt of a submission as a board, uint8 [rows, columns]."""
        self.lacks("puzzles with demonstrations", "give puzzles as text")

    def row_name(self, dataset: Dataset, row: int) -> str:
        """The name of a row of the puzzle table, as it is shown to users."""
        return dataset.rows.name(row)

    def rows_of_names(self, names: Sequence[str], where: str) -> tuple[Rows, NDArray[np.int64]]:
        """Rows of the puzzle table by their published names.

        Args:
          names: of the rows.
          where: the file that they are from, for errors.

        Returns:
          The rows, and int64 [R] where each stands in `names`.
        """
        self.lacks("rows of the puzzle table by name", "leave --data out")

    def lacks(self, what: str, remedy: str) -> NoReturn:
        """Raises a UserError that names the task and what it does not have.

        Args:
          what: it does not have, in words.
          remedy: what the user can do, in words.
        """
        raise UserError(f"the task {self.name!r} has no {what}; {remedy}.")
