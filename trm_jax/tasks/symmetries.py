"""The symmetric copies of a question that are asked at test time, and how answers come back."""

import numpy as np

from trm_jax.core.errors import UserError
from trm_jax.core.grids import (
    FIRST_DIGIT,
    TRANSPOSES,
    SudokuSymmetry,
    derive_seed,
    dihedral_cells,
    random_words,
)
from trm_jax.tasks.maze.maze import Maze
from trm_jax.tasks.sudoku.sudoku import Sudoku

KINDS = ("digits", "dihedral", "all")


def symmetries(kind: Sudoku | Maze, which: str, count: int, seed: int) -> SudokuSymmetry:
    """So many symmetries of a kind of puzzle; number 0 is the identity.

    Args:
        kind: of puzzle.
        which: "digits" relabels them cyclically (digit d becomes d + k; "Augmented HRM", arXiv
            2601.10679), "dihedral" turns and mirrors (of a Sudoku whose boxes are no squares, what
            keeps the boxes), "all" draws from every symmetry of a Sudoku; for mazes it is the same
            as "dihedral".
        count: how many.
        seed: of "all".

    Raises:
        UserError: the puzzle has not so many, or not that kind.
    """
    found = _sudoku(kind, which, count, seed) if isinstance(kind, Sudoku) else _maze(kind, which)
    if len(found.cells) < count:
        raise UserError(
            f"{count} symmetric copies are asked for and these puzzles have {len(found.cells)} of "
            f"the kind {which!r}; give fewer, or another of {', '.join(KINDS)}."
        )
    return SudokuSymmetry(found.digits[:count], found.cells[:count])


def _sudoku(kind: Sudoku, which: str, count: int, seed: int) -> SudokuSymmetry:
    numbers, cells = np.arange(kind.side), np.arange(kind.cells)
    if which == "digits":
        digits = (numbers + numbers[:, None]) % kind.side
        return SudokuSymmetry(digits, np.tile(cells, (kind.side, 1)))
    if which == "dihedral":
        squares = kind.box_rows == kind.box_columns
        maps = dihedral_cells(kind.side)[squares | ~TRANSPOSES]
        return SudokuSymmetry(np.tile(numbers, (len(maps), 1)), maps)
    size = SudokuSymmetry.words(kind.box_rows, kind.box_columns)
    words = random_words(derive_seed(seed, "symmetric copies"), np.arange(count), size)
    drawn = SudokuSymmetry.draw(words, kind.box_rows, kind.box_columns)
    drawn.digits[0], drawn.cells[0] = numbers, cells
    return drawn


def _maze(kind: Maze, which: str) -> SudokuSymmetry:
    if which == "digits":
        raise UserError("mazes have no digits to relabel; choose the dihedral symmetries.")
    maps = dihedral_cells(kind.side)
    return SudokuSymmetry(np.tile(np.arange(kind.vocab - FIRST_DIGIT), (len(maps), 1)), maps)
