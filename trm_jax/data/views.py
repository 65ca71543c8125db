"""What a task shows of an example: itself, or one of its augmented copies, as the model sees it."""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from trm_jax.core.errors import UserError
from trm_jax.core.grids import Words, derive_seed, random_words
from trm_jax.data.format import Dataset
from trm_jax.tasks.arc.canvas import Sizes, copies, sizes, turned
from trm_jax.tasks.maze.maze import Maze
from trm_jax.tasks.sudoku.sudoku import Sudoku

Grids = NDArray[np.uint8]
Numbers = NDArray[np.int64]
Shown = tuple[Grids, Grids, NDArray[np.int32]]
"""Questions uint8 [B, S], answers uint8 [B, S], puzzle-table rows int32 [B]."""

_EXAMPLE_BITS = np.uint64(32)


class View(Protocol):
    """The copies of a data set's examples, numbered from 0, the original."""

    def count(self, examples: Numbers) -> Numbers:
        """How many copies there are of each example [B], the original included, int64 [B]."""

    def show(self, examples: Numbers, copy: Numbers) -> Shown:
        """Shows a copy [B] of each example [B]; the same for equal arguments."""


_KINDS: dict[str, type[Sudoku] | type[Maze]] = {"sudoku": Sudoku, "maze": Maze}
ARC = "arc"
TASKS = (*_KINDS, ARC)


def kind_of(manifest: Mapping[str, Any]) -> Sudoku | Maze:
    """The kind of puzzle of a data set whose puzzles stand alone (all but ARC's).

    Raises:
        UserError: this program does not know the task.
    """
    task = manifest["task"]
    if task not in _KINDS:
        raise UserError(f"the data set's task is {task!r}; known tasks are {', '.join(TASKS)}.")
    return _KINDS[task].from_manifest(manifest)


def view(dataset: Dataset, most_copies: int, seed: int, *, train: bool) -> View:
    """The view of a data set's task.

    Args:
        dataset: whose examples are shown.
        most_copies: copies besides the original at most.
        seed: of all that is random in a copy.
        train: ARC grids are moved about on their canvas.

    Raises:
        UserError: this program does not know the task.
    """
    seed = derive_seed(seed, "augmentation of a copy")
    if dataset.manifest["task"] == ARC:
        return ArcView(dataset, most_copies, seed, moved=train)
    return SymmetricView(dataset, kind_of(dataset.manifest), most_copies, seed)


class SymmetricView:
    """Copy c > 0 of an example is a symmetry of it, drawn from (seed, example, c)."""

    def __init__(self, dataset: Dataset, kind: Sudoku | Maze, most_copies: int, seed: int) -> None:
        self._dataset, self._kind = dataset, kind
        self._count, self._seed = most_copies + 1, seed

    def count(self, examples: Numbers) -> Numbers:
        """See `View`."""
        return np.full(len(examples), self._count)

    def show(self, examples: Numbers, copy: Numbers) -> Shown:
        """See `View`."""
        data = self._dataset
        inputs, labels = data.inputs[examples], data.labels[examples]
        changed = np.flatnonzero(copy)
        if len(changed):
            counters = _counters(examples[changed], copy[changed])
            words = random_words(self._seed, counters, self._kind.augment_words)
            new = self._kind.augment(inputs[changed], labels[changed], words)
            inputs[changed], labels[changed] = new
        return inputs, labels, data.ids[examples]


class ArcView:
    """Copies as the puzzle table's rows say; in training each is moved down and right at random.

    As published, of the examples that a copy of a task has in training one stays in the corner,
    where tests are shown; where the others go is drawn from (seed, example, copy).
    """

    def __init__(self, dataset: Dataset, most_copies: int, seed: int, *, moved: bool) -> None:
        self._dataset, self._moved = dataset, moved
        self._counts = np.minimum(dataset.rows.counts(), most_copies + 1)
        self._tasks = task_numbers(dataset)
        self._sizes = sizes(dataset.inputs), sizes(dataset.labels)
        self._seed = derive_seed(seed, "place on the canvas")
        self._corner_seed = derive_seed(seed, "which example stays in the corner")
        if moved:
            index = np.sort(dataset.examples("train"))
            first, last = (
                np.searchsorted(self._tasks[index], np.arange(len(self._counts)), side=side)
                for side in ("left", "right")
            )
            self._size = last - first
            self._place = np.zeros(len(self._tasks), np.int64)
            self._place[index] = np.arange(len(index)) - first[self._tasks[index]]

    def count(self, examples: Numbers) -> Numbers:
        """See `View`."""
        return self._counts[self._tasks[examples]]

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
        """By how many rows and columns each pair is moved; both of its grids stay on the canvas."""
        still = np.zeros(len(examples), np.int64)
        if not self._moved:
            return still, still
        side = int(self._dataset.manifest["side"])
        tasks = self._tasks[examples]
        corner = random_words(self._corner_seed, _counters(tasks, copy), 1)[:, 0]
        stays = corner % self._size[tasks].astype(np.uint64) == self._place[examples]
        words = random_words(self._seed, _counters(examples, copy), 2)
        moved = []
        for axis, a, b in zip(
            range(2), turned(question, symmetries), turned(answer, symmetries), strict=True
        ):
            room = (side + 1 - np.maximum(a, b)).astype(np.uint64)
            moved.append(np.where(stays, 0, (words[:, axis] % room).astype(np.int64)))
        return moved[0], moved[1]


def task_numbers(dataset: Dataset) -> Numbers:
    """Which of the data set's named tasks each example is of, int64 [M]."""
    return np.searchsorted(dataset.rows.first, dataset.ids, side="right") - 1


def _counters(examples: Numbers, copy: Numbers) -> Words:
    """One counter for each (example, copy), however many copies there are."""
    return (examples.astype(np.uint64) << _EXAMPLE_BITS) + copy.astype(np.uint64)
