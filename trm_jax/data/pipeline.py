"""Training batches: order, augmentation and sharding as a pure function of (seed, position)."""

import functools

import grain
import numpy as np
from numpy.typing import NDArray

from trm_jax.core.errors import UserError
from trm_jax.core.randomness import derive_seed, random_permutations, random_words
from trm_jax.core.types import IGNORE
from trm_jax.data.format import Dataset
from trm_jax.data.views import Grids, Numbers, View

Arrays = dict[str, NDArray[np.int32]]

PREFETCHED = 8
"""Max number of prefetched items; enough to bridge short delays of the reader."""


def model_labels(labels: Grids) -> NDArray[np.int32]:
    """Labels in the form that the loss takes, int32 of the same shape: token 0 becomes IGNORE."""
    return np.where(labels == 0, np.int32(IGNORE), labels)


class BatchSource:
    """A random-access source of batches; item d holds the steps from d * per_item on.

    Example p of the stream (p = step * batch_size + row) belongs to epoch e = p // m, for a split
    of m examples. Each epoch visits every puzzle once, in its own random order; a batch may span
    two epochs. Where puzzles have rows of their own (ARC), a visit shows all examples of the puzzle
    consecutively and in the same copy, so that its puzzle-table row learns from all of them at once
    (as in the published code); otherwise a puzzle is one example. The copy is drawn from (seed, p)
    of the first p of a visit. Copy 0 is the original; see `views` for the others.
    """

    def __init__(
        self,
        dataset: Dataset,
        shown: View,
        split: str,
        *,
        batch_size: int,
        seed: int,
        per_item: int = 1,
        shard: int = 0,
        shards: int = 1,
    ) -> None:
        """Makes a source; no example is read yet.

        Args:
            dataset: dataset to read from.
            shown: view of the dataset with the augmented copies for training.
            split: "train", "heldout" or "test".
            batch_size: rows of the global batch.
            seed: any integer.
            per_item: number of steps in one item.
            shard: index of the part of each global batch to return.
            shards: number of parts.

        Raises:
            UserError: the split is missing, or `shards` does not divide `batch_size`.
        """
        if batch_size < 1 or batch_size % shards:
            raise UserError(
                f"batch_size is {batch_size}; it must be a positive multiple of the {shards} "
                "processes that share it."
            )
        self._index = dataset.examples(split)
        self._view = shown
        self._groups: tuple[Numbers, Numbers] | None = None
        if dataset.rows.grouped:
            self._index = np.sort(self._index)
            starts = np.flatnonzero(np.diff(dataset.puzzles()[self._index], prepend=-1))
            self._groups = starts, np.diff(starts, append=len(self._index))
        self._batch, self._per_item = batch_size, per_item
        self._rows = np.arange(shard * batch_size // shards, (shard + 1) * batch_size // shards)
        self._order_seed = derive_seed(seed, "order of puzzles in an epoch")
        self._copy_seed = derive_seed(seed, "copy at a position")
        # Two epochs, as a batch may span two; safe with Grain's reader threads.
        self._order = functools.lru_cache(maxsize=2)(self._draw_order)

    def __len__(self) -> int:
        """A number larger than any run needs: the stream has no end."""
        return 2**62

    def __getitem__(self, item: int) -> Arrays:
        """Returns one item, see `batches`."""
        steps = int(item) * self._per_item + np.arange(self._per_item)
        positions = (steps[:, None] * self._batch + self._rows).ravel()
        examples, visits = self._examples(positions)
        words = random_words(self._copy_seed, visits, 1)[:, 0]
        copy = (words % self._view.count(examples).astype(np.uint64)).astype(np.int64)
        inputs, labels, ids = self._view.show(examples, copy)
        shape = (self._per_item, len(self._rows))
        return {
            "inputs": inputs.astype(np.int32).reshape(*shape, -1),
            "labels": model_labels(labels).reshape(*shape, -1),
            "ids": ids.reshape(shape),
        }

    def _examples(self, positions: Numbers) -> tuple[Numbers, Numbers]:
        """Example at each position of the stream, and the position where its visit began."""
        epochs, places = np.divmod(positions, len(self._index))
        examples, visits = np.empty_like(positions), positions.copy()
        for epoch in np.unique(epochs).tolist():
            here = epochs == epoch
            order, began = self._order(epoch)
            examples[here] = self._index[order[places[here]]]
            if began is not None:
                visits[here] = epoch * len(self._index) + began[places[here]]
        return examples, visits

    def _draw_order(self, epoch: int) -> tuple[Numbers, Numbers | None]:
        """Example at each place of an epoch, and where its visit begins (None if everywhere)."""
        if self._groups is None:
            words = random_words(self._order_seed, [epoch], len(self._index))
            return random_permutations(words)[0], None  # each visit is of one example
        starts, lengths = self._groups
        order = random_permutations(random_words(self._order_seed, [epoch], len(starts)))[0]
        lengths = lengths[order]
        began = np.repeat(np.cumsum(lengths) - lengths, lengths)
        return np.repeat(starts[order], lengths) + np.arange(len(began)) - began, began


def batches(source: BatchSource, start: int = 0) -> grain.DatasetIterator[Arrays]:
    """Iterates over training batches without end, prefetched by one thread.

    The stream is the same for any number of shards, any `per_item` and any `start`.

    Args:
        source: source of the items.
        start: index of the first item.

    Returns:
        An iterator with `close()` over dicts of int32 arrays: `inputs` and `labels`
        [per_item, batch_size / shards, S], `ids` [per_item, batch_size / shards]; labels that do
        not count are -100.
    """
    # More threads would only compete for Python's global interpreter lock.
    options = grain.ReadOptions(num_threads=1, prefetch_buffer_size=PREFETCHED)
    iterator = iter(grain.MapDataset.source(source).to_iter_dataset(options))
    grain.experimental.set_next_index(iterator, start)
    return iterator
