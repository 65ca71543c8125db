"""Whose the rows of a puzzle table are: found by name, never by position."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from trm_jax.tasks.arc.records import BLANK_NAME, IDENTITY, Transforms, row_name

BLANK = 0
"""The row that belongs to no task; in tasks without augmented rows, every puzzle's."""


@dataclasses.dataclass(frozen=True)
class Rows:
    """The rows of a puzzle table: first the blank one, then those of each task.

    Attributes:
        tasks: names, G of them.
        first: int64 [G + 1]; rows first[g] to first[g + 1] - 1 are of task g, the first of them
            its original's, the others its augmented copies'.
        transforms: uint8 [R, 10], how the copy of each row was made (`arc.Transforms`).
    """

    tasks: tuple[str, ...]
    first: NDArray[np.int64]
    transforms: Transforms

    def __len__(self) -> int:
        """R."""
        return len(self.transforms)

    @classmethod
    def of(cls, tasks: Sequence[str], plans: Sequence[Transforms]) -> "Rows":
        """Rows for tasks with such copies, each plan uint8 [1 + copies, 10], the original first."""
        lengths = [len(plan) for plan in plans]
        first = np.cumsum([1, *lengths], dtype=np.int64)
        return cls(tuple(tasks), first, np.concatenate([IDENTITY[None], *plans]))

    def name(self, row: int) -> str:
        """A row's name, as the published data set has it."""
        if row == BLANK:
            return BLANK_NAME
        task = int(np.searchsorted(self.first, row, side="right")) - 1
        return row_name(self.tasks[task], self.transforms[row])

    def counts(self) -> NDArray[np.int64]:
        """How many rows each task has, int64 [G]."""
        return np.diff(self.first)

    def find(self, wanted: "Rows") -> NDArray[np.int64]:
        """Where each row of another table is in this one: int64 [its R], -1 where it is not."""
        numbers = {name: number for number, name in enumerate(self.tasks)}
        mine = self._keys(np.arange(len(self.tasks)))
        theirs = wanted._keys(np.asarray([numbers.get(name, -2) for name in wanted.tasks], int))
        order = np.argsort(mine)
        places = np.searchsorted(mine, theirs, sorter=order)
        candidates = order[np.minimum(places, len(mine) - 1)]
        return np.where(mine[candidates] == theirs, candidates, -1)

    def _keys(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """One integer for each row, int64 [R]: its task's number, then its transform."""
        tasks = np.repeat(np.concatenate([[-1], numbers]), np.concatenate([[1], self.counts()]))
        keys = tasks.astype(np.int64)
        for column in self.transforms.T:  # a symmetry needs 3 bits, a colour 4
            keys = keys << 4 | column
        return keys


BLANK_ROWS = Rows((), np.ones(1, np.int64), IDENTITY[None])
"""The table of a data set whose puzzles share one row."""
