"""Symmetries of a task of grids: rotations, reflections, and symbols that may be exchanged."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trm_jax.core.errors import UserError
from trm_jax.core.randomness import Words, derive_seed, random_permutations, random_words
from trm_jax.core.symmetries import FIRST_DIGIT, TRANSPOSES, GridSymmetry, dihedral
from trm_jax.tasks.grid.vocabulary import Form

Tokens = NDArray[np.uint8]
ALL = "all"


@dataclasses.dataclass(frozen=True)
class Likeness:
    """The symmetries of a task.

    Attributes:
      symbols: n, number of symbols.
      maps: int64 [k, S], cell i of image j is cell maps[j, i] of the grid; the identity first.
      alike: int64 [a], indices of the symbols that may be exchanged.
    """

    symbols: int
    maps: NDArray[np.int64]
    alike: NDArray[np.int64]

    @classmethod
    def of(cls, shape: Mapping[str, Any]) -> "Likeness":
        """The symmetries of a manifest.

        Raises:
          UserError: `turns` is set for grids of different sizes.
        """
        form = Form.of(shape)
        if shape["turns"] and form.canvas:
            raise UserError("grids of different sizes are not turned; set turns to False.")
        cells = np.arange(form.cells).reshape(form.rows, form.columns)
        square = form.rows == form.columns
        ways = [k for k in range(8) if square or not TRANSPOSES[k]] if shape["turns"] else [0]
        maps = np.stack([dihedral(cells, k).reshape(-1) for k in ways])
        return cls(form.vocab - FIRST_DIGIT, maps, form.place(shape["alike"], "alike"))

    def __bool__(self) -> bool:
        """Whether there is any symmetry besides the identity."""
        return len(self.maps) > 1 or len(self.alike) > 1

    @property
    def words(self) -> int:
        """Number of random words for one draw."""
        return 1 + len(self.alike)

    def draw(self, words: Words) -> GridSymmetry:
        """Draws one symmetry for each row of random words [B, words], uniformly."""
        ways = (words[:, 0] >> np.uint64(32)) % np.uint64(len(self.maps))
        orders = random_permutations(words[:, 1:])
        return GridSymmetry(self._renamed(orders), self.maps[ways.astype(np.int64)])

    def copies(self, which: str, count: int, seed: int) -> GridSymmetry:
        """Symmetries of the kind "digits", "dihedral" or "all", the identity first."""
        if which == "dihedral":
            return GridSymmetry(self._renamed(np.zeros((len(self.maps), 0), np.int64)), self.maps)
        if which == "digits":
            steps = np.arange(len(self.alike))
            orders = (steps + steps[:, None]) % max(len(steps), 1)
            return GridSymmetry(self._renamed(orders), np.tile(self.maps[0], (len(orders), 1)))
        words = random_words(derive_seed(seed, "symmetric copies"), np.arange(count), self.words)
        drawn = self.draw(words)
        drawn.digits[0], drawn.cells[0] = np.arange(self.symbols), self.maps[0]
        return drawn

    def keys(self, questions: Tokens) -> list[bytes]:
        """A key for each of questions [m, S]; symmetric copies have equal keys."""
        keys: list[bytes] = []
        for cells in self.maps:
            image = [row.tobytes() for row in self._named_by_place(questions[:, cells])]
            keys = list(map(min, keys, image)) if keys else image
        return keys

    def first_of_each(self, questions: Tokens) -> NDArray[np.int64]:
        """Indices, int64, of the questions [m, S] that are not copies of earlier ones, in order."""
        found: dict[bytes, int] = {}
        for row, key in enumerate(self.keys(questions)):
            found.setdefault(key, row)
        return np.asarray(sorted(found.values()), np.int64)

    def _renamed(self, orders: NDArray[np.int64]) -> NDArray[np.int64]:
        """Renamings int64 [B, n] of all symbols, from permutations [B, a] of `alike`."""
        digits = np.tile(np.arange(self.symbols), (len(orders), 1))
        if orders.shape[1]:
            digits[:, self.alike] = self.alike[orders]
        return digits

    def _named_by_place(self, questions: Tokens) -> Tokens:
        """Questions with the symbols of `alike` renamed in the order of their first cells."""
        if len(self.alike) < 2:
            return questions
        tokens = self.alike + FIRST_DIGIT
        there = questions[:, :, None] == tokens
        first = np.where(there.any(axis=1), there.argmax(axis=1), questions.shape[1])
        ranks = np.argsort(np.argsort(first, axis=1, kind="stable"), axis=1, kind="stable")
        table = np.tile(np.arange(256, dtype=np.uint8), (len(questions), 1))
        table[:, tokens] = tokens[ranks]
        return np.take_along_axis(table, questions.astype(np.int64), axis=1)
