"""The view of an ARC dataset: canvases, transformed as their puzzle-table rows say."""

import numpy as np
from numpy.typing import NDArray

from trm_jax.core.randomness import derive_seed, random_words
from trm_jax.data.format import Dataset
from trm_jax.data.views import Numbers, Shown, check_copies, counters
from trm_jax.tasks.arc.canvas import Sizes, copies, sizes, turned


class ArcView:
    """Shows the copies of the puzzle table's rows, in training shifted down and right at random.

    As published, one of the training examples of a copy of a puzzle stays in the corner, where
    tests are shown. The shifts of the others are drawn from (seed, example, copy).
    """

    def __init__(self, dataset: Dataset, max_copies: int, seed: int, *, moved: bool) -> None:
        """Makes a view with at most `max_copies` copies; `moved` enables the random shifts.

        Raises:
          UserError: `max_copies` is negative.
        """
        check_copies(max_copies)
        self._dataset, self._moved = dataset, moved
        self._counts = np.minimum(dataset.rows.counts(), max_copies + 1)
        self._puzzles = dataset.puzzles()
        self._sizes = sizes(dataset.inputs), sizes(dataset.labels)
        self._seed = derive_seed(seed, "place on the canvas")
        self._corner_seed = derive_seed(seed, "which example stays in the corner")
        if moved:
            index = np.sort(dataset.examples("train"))
            first, last = (
                np.searchsorted(self._puzzles[index], np.arange(len(self._counts)), side=side)
                for side in ("left", "right")
            )
            self._size = last - first
            self._place = np.zeros(len(self._puzzles), np.int64)
            self._place[index] = np.arange(len(index)) - first[self._puzzles[index]]

    def count(self, examples: Numbers) -> Numbers:
        """See `View`."""
        return self._counts[self._puzzles[examples]]

    def show(self, examples: Numbers, copy: Numbers) -> Shown:
        """See `View`."""
        data = self._dataset
        ids = data.ids[examples] + copy.astype(np.int32)
        transforms = data.rows.transforms[ids]
        question, answer = (Sizes(*(a[examples] for a in size)) for size in self._sizes)
        rows, columns = self._places(examples, copy, transforms[:, 0], question, answer)
        inputs = copies(data.inputs[examples], question, transforms, rows, columns)
        labels = copies(data.labels[examples], answer, transforms, rows, columns)
        return inputs, labels, ids

    def _places(
        self,
        examples: Numbers,
        copy: Numbers,
        symmetries: NDArray[np.uint8],
        question: Sizes,
        answer: Sizes,
    ) -> tuple[Numbers, Numbers]:
        """Number of rows and columns to shift each pair by, so that both grids fit the canvas."""
        still = np.zeros(len(examples), np.int64)
        if not self._moved:
            return still, still
        side = int(self._dataset.manifest["side"])
        puzzles = self._puzzles[examples]
        corner = random_words(self._corner_seed, counters(puzzles, copy), 1)[:, 0]
        stays = corner % self._size[puzzles].astype(np.uint64) == self._place[examples]
        words = random_words(self._seed, counters(examples, copy), 2)
        moved = []
        for axis, a, b in zip(
            range(2), turned(question, symmetries), turned(answer, symmetries), strict=True
        ):
            room = (side + 1 - np.maximum(a, b)).astype(np.uint64)
            moved.append(np.where(stays, 0, (words[:, axis] % room).astype(np.int64)))
        return moved[0], moved[1]
