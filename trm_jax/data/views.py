"""What is shown of an example: itself, or one of its augmented copies, as the model sees it."""

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
"""Questions and answers uint8 [B, S], random words uint64 [B, W]: both as augmented copies."""

_EXAMPLE_BITS = np.uint64(32)


class View(Protocol):
    """The copies of a data set's examples, numbered from 0, the original."""

    def count(self, examples: Numbers) -> Numbers:
        """How many copies there are of each example [B], the original included, int64 [B]."""

    def show(self, examples: Numbers, copy: Numbers) -> Shown:
        """Shows a copy [B] of each example [B]; the same for equal arguments."""


class PlainView:
    """Copy c > 0 of an example is an augmentation of it, drawn from (seed, example, c)."""

    def __init__(
        self, dataset: Dataset, copies: int, seed: int, augment: Augment, words: int
    ) -> None:
        """Describes the copies.

        Args:
          dataset: whose examples are shown.
          copies: of each example, besides the original.
          seed: of all that is random in them.
          augment: makes them, as a pure function.
          words: random words that it takes for one example.

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
    """Refuses a number of copies that makes no sense.

    Raises:
      UserError: it is negative.
    """
    if copies < 0:
        raise UserError(f"copies is {copies}; give 0 for no augmentation, or more.")


def counters(examples: Numbers, copy: Numbers) -> Words:
    """One counter for each (example, copy), however many copies there are."""
    return (examples.astype(np.uint64) << _EXAMPLE_BITS) + copy.astype(np.uint64)
