"""Training batches: order, augmentation and sharding as a pure function of (seed, position)."""

import functools
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import grain
import numpy as np
from numpy.typing import NDArray

from trm_jax.data.format import Dataset
from trm_jax.data.sudoku import Sudoku
from trm_jax.errors import UserError
from trm_jax.grids import Words, derive_seed, random_permutations, random_words
from trm_jax.types import IGNORE

Grids = NDArray[np.uint8]
Arrays = dict[str, NDArray[np.int32]]


class Task(Protocol):
    """What the pipeline asks of a task."""

    @property
    def augment_words(self) -> int:
        """Random words that `augment` uses for one example."""

    def augment(self, inputs: Grids, labels: Grids, words: Words) -> tuple[Grids, Grids]:
        """Augments uint8 [B, S] questions and answers by uint64 [B, augment_words]."""


_TASKS: dict[str, Callable[[Mapping[str, Any]], Task]] = {"sudoku": Sudoku.from_manifest}


def task_from_manifest(manifest: Mapping[str, Any]) -> Task:
    """Gives the task of a data set; UserError if this program does not know it."""
    task = manifest["task"]
    if task not in _TASKS:
        raise UserError(f"the data set's task is {task!r}; known tasks are {', '.join(_TASKS)}.")
    return _TASKS[task](manifest)


def model_labels(labels: Grids) -> NDArray[np.int32]:
    """Labels as the loss wants them, int32 of the same shape: token 0 becomes IGNORE."""
    return np.where(labels == 0, np.int32(IGNORE), labels)


class BatchSource:
    """Item d holds the global batches of the steps from d * per_item on (this shard's rows).

    Example p of the stream (p = step * batch_size + row) is in epoch e = p // m of a split of m
    puzzles. Each epoch visits every puzzle once, in its own order; a batch may cross epochs.
    Which of its copies is shown, 0..copies, is drawn from (seed, p). Copy 0 is the original, copy
    c > 0 the augmentation drawn from (seed, puzzle, c).
    """

    def __init__(
        self,
        dataset: Dataset,
        split: str,
        *,
        batch_size: int,
        seed: int,
        copies: int,
        per_item: int = 1,
        shard: int = 0,
        shards: int = 1,
    ) -> None:
        """Describes a stream; nothing is read yet.

        Args:
            dataset: what to read from.
            split: "train", "heldout" or "test".
            batch_size: rows of the global batch.
            seed: any integer.
            copies: augmented copies of each puzzle beside the original.
            per_item: steps that one item carries.
            shard: which part of each global batch to give.
            shards: how many parts there are.

        Raises:
            UserError: the split is missing, copies is negative, or shards do not divide
                batch_size.
        """
        if batch_size < 1 or batch_size % shards:
            raise UserError(
                f"batch_size is {batch_size}; it must be a positive multiple of the {shards} "
                "processes that share it."
            )
        if copies < 0:
            raise UserError(f"copies is {copies}; give 0 for no augmentation, or more.")
        self._dataset, self._index = dataset, dataset.examples(split)
        self._task = task_from_manifest(dataset.manifest)
        self._batch, self._per_item, self._copies = batch_size, per_item, copies
        self._rows = np.arange(shard * batch_size // shards, (shard + 1) * batch_size // shards)
        self._order_seed = derive_seed(seed, "order of puzzles in an epoch")
        self._copy_seed = derive_seed(seed, "copy at a position")
        self._augment_seed = derive_seed(seed, "augmentation of a copy")
        # Two epochs, as a batch may cross into the next; safe with Grain's reader threads.
        self._order = functools.lru_cache(maxsize=2)(self._draw_order)

    def __len__(self) -> int:
        """The stream has no end."""
        return 2**62

    def __getitem__(self, item: int) -> Arrays:
        """Gives one item of `batches`."""
        steps = int(item) * self._per_item + np.arange(self._per_item)
        positions = (steps[:, None] * self._batch + self._rows).ravel()
        examples = self._examples(positions)
        copy = random_words(self._copy_seed, positions, 1)[:, 0] % np.uint64(self._copies + 1)
        inputs, labels = self._dataset.inputs[examples], self._dataset.labels[examples]
        changed = np.flatnonzero(copy)
        if len(changed):
            # One counter for each (puzzle, copy), whatever `copies` is.
            counters = (examples[changed].astype(np.uint64) << np.uint64(32)) + copy[changed]
            words = random_words(self._augment_seed, counters, self._task.augment_words)
            inputs[changed], labels[changed] = self._task.augment(
                inputs[changed], labels[changed], words
            )
        shape = (self._per_item, len(self._rows))
        return {
            "inputs": inputs.astype(np.int32).reshape(*shape, -1),
            "labels": model_labels(labels).reshape(*shape, -1),
            "ids": self._dataset.ids[examples].reshape(shape),
        }

    def _examples(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Which example of the data set stands at each position of the stream, int64 [n]."""
        epochs, places = np.divmod(positions, len(self._index))
        examples = np.empty_like(positions)
        for epoch in np.unique(epochs).tolist():
            here = epochs == epoch
            examples[here] = self._index[self._order(epoch)[places[here]]]
        return examples

    def _draw_order(self, epoch: int) -> NDArray[np.int64]:
        words = random_words(self._order_seed, [epoch], len(self._index))
        return random_permutations(words)[0]


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
    # More threads only fight for Python's lock, and eight items hide any hiccup.
    options = grain.ReadOptions(num_threads=1, prefetch_buffer_size=8)
    iterator = iter(grain.MapDataset.source(source).to_iter_dataset(options))
    grain.experimental.set_next_index(iterator, start)
    return iterator
