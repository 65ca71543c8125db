"""The sixteen symmetries of Futoshiki: rotations, reflections and complemented digits."""

import numpy as np
from numpy.typing import NDArray

from trm_jax.core.symmetries import GridSymmetry, dihedral, dihedral_cells
from trm_jax.tasks.futoshiki.futoshiki import SIGNS, Futoshiki

COUNT = 16
_POINTS_TO = ((1, 0), (1, 2), (0, 1), (2, 1))
"""Row and column that each of SIGNS points to, in a 3x3 square with the sign in the middle."""
_OPPOSITE = (1, 0, 3, 2)


def all_symmetries(puzzle: Futoshiki) -> GridSymmetry:
    """All sixteen symmetries: the eight of the square, then the same with complemented digits.

    Index 0 is the identity. A complement replaces each digit d by side + 1 - d and reverses every
    sign. Rotations and reflections of the board also rename the signs.
    """
    cells = np.tile(dihedral_cells(puzzle.width), (2, 1))
    side = puzzle.side
    symbols = np.tile(np.arange(side + len(SIGNS) + 1), (COUNT, 1))
    turned = _turned_signs()
    symbols[:8, side : side + 4] = side + turned
    symbols[8:, :side] = np.arange(side)[::-1]
    symbols[8:, side : side + 4] = side + np.asarray(_OPPOSITE)[turned]
    return GridSymmetry(symbols, cells)


def copies(puzzle: Futoshiki, which: str) -> GridSymmetry:
    """The symmetries of a search: "digits" (complements), "dihedral", or "all".

    All of them are listed, so no seed is needed.
    """
    numbers = {"digits": [0, 8], "dihedral": range(8), "all": range(COUNT)}[which]
    return all_symmetries(puzzle).take(np.asarray(numbers))


def _turned_signs() -> NDArray[np.int64]:
    """The image of each sign under each of the eight symmetries of the square, int64 [8, 4]."""
    marks = np.full((3, 3), -1, np.int64)
    for sign, place in enumerate(_POINTS_TO):
        marks[place] = sign
    found = np.empty((8, len(SIGNS)), np.int64)
    for number in range(8):
        image = dihedral(marks, number)
        for new, place in enumerate(_POINTS_TO):
            found[number, image[place]] = new
    return found
