"""Views: the augmented copies of a dataset's examples, as the model sees them."""

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from trm_jax.core.errors import UserError
from trm_jax.core.randomness import Words, random_words
from trm_jax.data.format import Dataset

Grids = NDArray[np.uint8]
Numbers = NDArray[np.int64]
Shown = tuple[Grids, Grids, NDArray[np.int32]]
"""Questions uint8 [B, S], answers uint8 [B, S], puzzle-table rows int32 [B]."""

Augment = Callable[[Grids, Grids, Words], tuple[Grids, Grids]]
"""Maps questions and answers uint8 [B, S] and random words uint64 [B, W] to augmented copies."""

_EXAMPLE_BITS = np.uint64(32)


class View(Protocol):
    """The augmented copies of a dataset's examples, numbered from 0, the original."""

    def count(self, examples: Numbers) -> Numbers:
        """Number of copies of each example [B], including the original, int64 [B]."""

    def show(self, examples: Numbers, copy: Numbers) -> Shown:
        """Copy number `copy` [B] of each example [B], a pure function of its arguments."""


class PlainView:
    """A view whose copy c > 0 of an example is an augmentation drawn from (seed, example, c)."""

    def __init__(
        self, dataset: Dataset, copies: int, seed: int, augment: Augment, words: int
    ) -> None:
        """Makes a view.

        Args:
          dataset: dataset of the examples.
          copies: number of augmented copies of each example, without the original.
          seed: seed of the augmentations.
          augment: pure function that makes the copies.
          words: number of random words that `augment` takes for one example.

        Raises:
          UserError: `copies` is negative.
        """
        check_copies(copies)
        self._dataset, self._augment, self._words = dataset, augment, words
        self._count, self._seed = copies + 1, seed

    def count(self, examples: Numbers) -> Numbers:
        """See `View`."""
        return np.full(len(examples), self._count)

    def show(self, examples: Numbers, copy: Numbers) -> Shown:
        """See `View`."""
        data = self._dataset
        inputs, labels = data.inputs[examples], data.labels[examples]
        changed = np.flatnonzero(copy)
        if len(changed):
            numbers = counters(examples[changed], copy[changed])
            words = random_words(self._seed, numbers, self._words)
            new = self._augment(inputs[changed], labels[changed], words)
            inputs[changed], labels[changed] = new
        return inputs, labels, data.ids[examples]


def check_copies(copies: int) -> None:
    """Refuses a negative number of copies.

    Raises:
      UserError: `copies` is negative.
    """
    if copies < 0:
        raise UserError(f"copies is {copies}; give 0 for no augmentation, or more.")


def counters(examples: Numbers, copy: Numbers) -> Words:
    """A unique counter for each (example, copy), independent of the number of copies."""
    return (examples.astype(np.uint64) << _EXAMPLE_BITS) + copy.astype(np.uint64)
