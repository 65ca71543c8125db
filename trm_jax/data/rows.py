"""Whose the rows of a puzzle table are: found by name, never by position."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Transforms = NDArray[np.uint8]
"""uint8 [..., W], how an augmented copy is made; what the W numbers mean is the task's business."""

BLANK = 0
"""The row that belongs to no puzzle; in tasks without rows of their own, every puzzle's."""
BLANK_NAME = "<blank>"
"""Its name, as published."""
_BITS = 63


@dataclasses.dataclass(frozen=True)
class Rows:
    """The rows of a puzzle table: first the blank one, then those of each named puzzle.

    Where puzzles have rows of their own (ARC), a puzzle is a group of examples, and each of its
    augmented copies has a row. Where they have not (Sudoku, mazes), there is the blank row alone.

    Attributes:
      names: of the puzzles that have rows, G of them.
      first: int64 [G + 1]; rows first[g] to first[g + 1] - 1 are of puzzle g, the first of them
        its original's, the others its augmented copies'.
      transforms: uint8 [R, W], how the copy of each row was made.
    """

    names: tuple[str, ...]
    first: NDArray[np.int64]
    transforms: Transforms

    def __len__(self) -> int:
        """Number of rows, R."""
        return len(self.transforms)

    @property
    def grouped(self) -> bool:
        """Whether puzzles have rows of their own, and examples come in groups."""
        return bool(self.names)

    @classmethod
    def of(cls, names: Sequence[str], plans: Sequence[Transforms], identity: Transforms) -> "Rows":
        """Rows for puzzles with such copies.

        Args:
          names: of the puzzles.
          plans: of each, uint8 [1 + copies, W], the original first.
          identity: uint8 [W], the transform of an original, which the blank row has too.
        """
        lengths = [len(plan) for plan in plans]
        first = np.cumsum([1, *lengths], dtype=np.int64)
        return cls(tuple(names), first, np.concatenate([identity[None], *plans]))

    def name(self, row: int) -> str:
        """A row's name: its puzzle's, and which copy it is."""
        if row == BLANK:
            return BLANK_NAME
        puzzle = self.puzzle(row)
        copy = row - int(self.first[puzzle])
        return f"{self.names[puzzle]}, copy {copy}" if copy else self.names[puzzle]

    def puzzle(self, row: int) -> int:
        """Number of the puzzle that a row, not the blank one, belongs to."""
        return int(np.searchsorted(self.first, row, side="right")) - 1

    def puzzles(self, rows: NDArray[np.integer]) -> NDArray[np.int64]:
        """The same of many rows, int64 [.]; -1 for the blank row."""
        return np.searchsorted(self.first, rows, side="right") - 1

    def counts(self) -> NDArray[np.int64]:
        """Number of rows of each puzzle, int64 [G]."""
        return np.diff(self.first)

    def find(self, wanted: "Rows") -> NDArray[np.int64]:
        """Where each row of another table is in this one: int64 [its R], -1 where it is not."""
        if self.transforms.shape[1] != wanted.transforms.shape[1]:  # only the blank ones are alike
            return np.where(np.arange(len(wanted)) == BLANK, BLANK, -1)
        numbers = {name: number for number, name in enumerate(self.names)}
        largest = max(int(r.transforms.max(initial=0)) for r in (self, wanted))
        bits = max(largest.bit_length(), 1)
        mine = self._keys(np.arange(len(self.names)), bits)
        others = [numbers.get(name, -2) for name in wanted.names]
        theirs = wanted._keys(np.asarray(others, np.int64), bits)
        order = np.argsort(mine)
        places = np.searchsorted(mine, theirs, sorter=order)
        candidates = order[np.minimum(places, len(mine) - 1)]
        return np.where(mine[candidates] == theirs, candidates, -1)

    def _keys(self, numbers: NDArray[np.int64], bits: int) -> NDArray[np.int64]:
        """One integer for each row, int64 [R]: its puzzle's number, then its transform."""
        width = self.transforms.shape[1] * bits
        if width + (len(numbers) + 2).bit_length() > _BITS:
            raise ValueError(f"transforms of {width} bits do not fit into an integer")
        owners = np.repeat(np.concatenate([[-1], numbers]), np.concatenate([[1], self.counts()]))
        keys = owners.astype(np.int64)
        for column in self.transforms.T:
            keys = keys << bits | column
        return keys


BLANK_ROWS = Rows((), np.ones(1, np.int64), np.zeros((1, 0), np.uint8))
"""The table of a data set whose puzzles share one row."""
