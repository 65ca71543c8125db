"""Names of puzzle-table rows: which puzzle and which augmented copy each row belongs to."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Transforms = NDArray[np.uint8]
"""uint8 [..., W], parameters of an augmented copy; each task defines its own W numbers."""

BLANK = 0
"""The row that belongs to no puzzle; tasks without rows of their own use it for every puzzle."""
BLANK_NAME = "<blank>"
"""Name of the blank row, as in the published code."""
_BITS = 63


@dataclasses.dataclass(frozen=True)
class Rows:
    """The rows of a puzzle table: first the blank one, then those of each named puzzle.

    Where puzzles have rows of their own (ARC), a puzzle is a group of examples, and each of its
    augmented copies has a row. Otherwise (Sudoku, mazes) there is only the blank row.

    Attributes:
      names: names of the G puzzles that have rows.
      first: int64 [G + 1]; puzzle g has the rows first[g] to first[g + 1] - 1: the first is the
        original's, the others are its augmented copies'.
      transforms: uint8 [R, W], parameters of each row's augmented copy.
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
        """Makes the rows of puzzles and their augmented copies.

        Args:
          names: names of the puzzles.
          plans: transforms of each puzzle's copies, uint8 [1 + copies, W], the original first.
          identity: uint8 [W], the transform of an original, also used for the blank row.
        """
        lengths = [len(plan) for plan in plans]
        first = np.cumsum([1, *lengths], dtype=np.int64)
        return cls(tuple(names), first, np.concatenate([identity[None], *plans]))

    def name(self, row: int) -> str:
        """Name of a row: the name of its puzzle, and the number of its copy."""
        if row == BLANK:
            return BLANK_NAME
        puzzle = self.puzzle(row)
        copy = row - int(self.first[puzzle])
        return f"{self.names[puzzle]}, copy {copy}" if copy else self.names[puzzle]

    def puzzle(self, row: int) -> int:
        """Index of the puzzle that a row belongs to; the row must not be the blank one."""
        return int(np.searchsorted(self.first, row, side="right")) - 1

    def puzzles(self, rows: NDArray[np.integer]) -> NDArray[np.int64]:
        """Index of the puzzle that each row belongs to, int64 [.]; -1 for the blank row."""
        return np.searchsorted(self.first, rows, side="right") - 1

    def counts(self) -> NDArray[np.int64]:
        """Number of rows of each puzzle, int64 [G]."""
        return np.diff(self.first)

    def find(self, wanted: "Rows") -> NDArray[np.int64]:
        """Index in this table of each row of another table, int64 [its R]; -1 if missing."""
        if self.transforms.shape[1] != wanted.transforms.shape[1]:  # only the blank rows match
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
        """Encodes each row's puzzle number and transform in one integer, int64 [R]."""
        width = self.transforms.shape[1] * bits
        if width + (len(numbers) + 2).bit_length() > _BITS:
            raise ValueError(f"transforms of {width} bits do not fit into an integer")
        owners = np.repeat(np.concatenate([[-1], numbers]), np.concatenate([[1], self.counts()]))
        keys = owners.astype(np.int64)
        for column in self.transforms.T:
            keys = keys << bits | column
        return keys


BLANK_ROWS = Rows((), np.ones(1, np.int64), np.zeros((1, 0), np.uint8))
"""The table of a dataset whose puzzles share one row."""
