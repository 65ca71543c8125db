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
"""Items that wait for the train step at most; enough to hide any hiccup."""


def model_labels(labels: Grids) -> NDArray[np.int32]:
    """Labels as the loss wants them, int32 of the same shape: token 0 becomes IGNORE."""
    return np.where(labels == 0, np.int32(IGNORE), labels)


class BatchSource:
    """Item d holds the global batches of the steps from d * per_item on (this shard's rows).

    Example p of the stream (p = step * batch_size + row) is in epoch e = p // m of a split of m
    examples. Each epoch visits every puzzle once, in its own order; a batch may cross epochs. A
    puzzle is one example, or where puzzles have rows of their own (ARC) all examples of one, in the
    same copy and one after the other, so that its row of the puzzle table learns from all of them
    at once (as published). Which copy is shown is drawn from (seed, p), for the first p of a visit.
    Copy 0 is the original; see `views` for the others.
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
        """Describes a stream; nothing is read yet.

        Args:
            dataset: what to read from.
            shown: its examples and their augmented copies as training sees them.
            split: "train", "heldout" or "test".
            batch_size: rows of the global batch.
            seed: any integer.
            per_item: steps that one item carries.
            shard: which part of each global batch to give.
            shards: how many parts there are.

        Raises:
            UserError: the split is missing, or shards do not divide batch_size.
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
        # Two epochs, as a batch may cross into the next; safe with Grain's reader threads.
        self._order = functools.lru_cache(maxsize=2)(self._draw_order)

    def __len__(self) -> int:
        """The stream has no end."""
        return 2**62

    def __getitem__(self, item: int) -> Arrays:
        """Gives one item of `batches`."""
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
        """The example at each position of the stream, and where its puzzle's visit began."""
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
        """Which example of the split is at each place of an epoch, and where its visit begins."""
        if self._groups is None:
            words = random_words(self._order_seed, [epoch], len(self._index))
            return random_permutations(words)[0], None  # each visit is of one example
        starts, lengths = self._groups
        order = random_permutations(random_words(self._order_seed, [epoch], len(starts)))[0]
        lengths = lengths[order]
        began = np.repeat(np.cumsum(lengths) - lengths, lengths)
        return np.repeat(starts[order], lengths) + np.arange(len(began)) - began, began


def batches(source: BatchSource, start: int = 0) -> grain.DatasetIterator[Arrays]:
    """Streams training batches without end, prefetched by one thread.

    The stream is the same for any number of shards, any `per_item` and any `start`.

    Args:
        source: which stream.
        start: the first item.

    Returns:
        An iterator with `close()` over dicts of int32 arrays: `inputs` and `labels`
        [per_item, batch_size / shards, S], `ids` [per_item, batch_size / shards]; labels that do
        not count are -100.
    """
    # More threads would only fight for Python's lock.
    options = grain.ReadOptions(num_threads=1, prefetch_buffer_size=PREFETCHED)
    iterator = iter(grain.MapDataset.source(source).to_iter_dataset(options))
    grain.experimental.set_next_index(iterator, start)
    return iterator
