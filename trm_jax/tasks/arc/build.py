"""Builds ARC datasets: training and test pairs, and the augmented copies of every task."""

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from trm_jax.core.errors import UserError
from trm_jax.core.randomness import derive_seed, random_permutations, random_words
from trm_jax.data.format import Dataset, assemble
from trm_jax.data.rows import Rows
from trm_jax.tasks.arc.canvas import VOCAB, to_canvas
from trm_jax.tasks.arc.copies import plan_copies
from trm_jax.tasks.arc.leaks import contents, leaks, refuse_leaks, refuse_overlap
from trm_jax.tasks.arc.read import read_subset, source_facts
from trm_jax.tasks.arc.records import IDENTITY, Pair, Puzzle

BUILDER_VERSION = 1

NOTHING = np.zeros((0, 0), np.uint8)
"""Stands for an unknown output; its canvas is all pads, which are not scored."""


class Role(NamedTuple):
    """The splits of a task's demonstrations and tests; None for no split."""

    demonstrations: str | None
    tests: str


TRAIN, HELDOUT = Role("train", "train"), Role("train", "heldout")
TEST, STRICT_TEST = Role("train", "test"), Role(None, "test")


@dataclasses.dataclass(frozen=True)
class ArcRecipe:
    """The tasks of a dataset, and which of their pairs are trained on.

    Attributes:
        source: see `read.read_subset`.
        subsets: names of the subsets. All pairs of those other than `test` are trained on.
        test: the subset whose tests are the split "test"; its demonstrations are trained on.
        strict: whether demonstrations of `test` are not trained on.
        tasks: number of tasks of each subset, chosen by the seed; 0 for all.
        heldout: number of training tasks whose tests are the split "heldout" instead.
        copies: max number of augmented copies of each task besides the original, each with a
            puzzle-table row.
        side: side of the canvas; tasks with larger grids are left out.
        seed: seed of the choice of tasks and of the copies.
    """

    source: str
    subsets: tuple[str, ...]
    test: str
    strict: bool = False
    tasks: int = 0
    heldout: int = 0
    copies: int = 1000
    side: int = 30
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuses invalid values, and training on ARC-AGI-2 while scoring ARC-AGI-1."""
        if self.test not in self.subsets or len(set(self.subsets)) != len(self.subsets):
            raise UserError(
                f"the subsets are {', '.join(self.subsets)} and the test subset is {self.test!r}; "
                "give each subset once, with the test subset among them."
            )
        refuse_overlap(self.subsets, self.test)
        if not 1 <= self.side <= 30:
            raise UserError(f"side is {self.side}; the canvas has 1x1 to 30x30 cells.")
        for name in ("tasks", "heldout", "copies"):
            if getattr(self, name) < 0:
                raise UserError(f"{name} is {getattr(self, name)}; give 0 or more.")


def build(recipe: ArcRecipe) -> Dataset:
    """Builds a dataset, the same bit for bit for the same recipe and source.

    Raises:
        UserError: a task is invalid, there are too few, or training would see the tests' answers.
    """
    chosen, left_out = _choose(recipe)
    if not chosen:
        raise UserError(
            f"no task of {', '.join(recipe.subsets)} fits on a canvas of {recipe.side}x"
            f"{recipe.side} cells; give a larger side."
        )
    facts: dict[str, Any] = {
        "subsets": list(recipe.subsets),
        "test_subset": recipe.test,
        "strict": recipe.strict,
        "left_out": left_out,
        "source": source_facts(recipe.source, recipe.subsets),
    }
    dataset = _assemble(chosen, recipe.side, recipe.copies, recipe.seed, facts)
    refuse_leaks(dataset.manifest["leaks"], sum(role != TRAIN for _, role in chosen))
    return dataset


def build_tasks(tasks: Sequence[Puzzle], side: int, copies: int, seed: int, source: str) -> Dataset:
    """Builds a dataset of the given tasks: demonstrations as "train" and tests as "test".

    It is for tasks outside any dataset; their copies are the same as in `build`.

    Args:
        tasks: tasks with different names.
        side: side of the canvas.
        copies: see `ArcRecipe`.
        seed: see `ArcRecipe`.
        source: name of the source for the manifest.

    Raises:
        UserError: a grid does not fit on the canvas.
    """
    for task in tasks:
        if _largest(task) > side:
            raise UserError(
                f"task {task.name} has a grid of {_largest(task)} rows or columns, and the "
                f"model's canvas is {side}x{side} cells; give smaller tasks."
            )
    facts = {"source": {"kind": "tasks", "name": source}}
    return _assemble([(task, TEST) for task in tasks], side, copies, seed, facts)


def _choose(recipe: ArcRecipe) -> tuple[list[tuple[Puzzle, Role]], int]:
    """Tasks of all subsets that fit on the canvas, with their roles, and how many do not fit."""
    chosen: list[tuple[Puzzle, Role]] = []
    left_out = 0
    for subset in recipe.subsets:
        tasks = read_subset(recipe.source, subset)
        fitting = [task for task in tasks if _largest(task) <= recipe.side]
        left_out += len(tasks) - len(fitting)
        if recipe.tasks > len(fitting):
            raise UserError(
                f"subset {subset} has {len(fitting)} tasks that fit on {recipe.side}x{recipe.side} "
                f"cells, fewer than the {recipe.tasks} requested; request fewer."
            )
        order = _order(recipe.seed, f"choice of ARC tasks from {subset}", len(fitting))
        kept = [fitting[i] for i in sorted(order[: recipe.tasks or None])]
        role = TRAIN if subset != recipe.test else STRICT_TEST if recipe.strict else TEST
        if role == TRAIN:
            _require_solutions(kept, f"{recipe.source}, subset {subset}")
        chosen += [(task, role) for task in kept]
    _refuse_twins([task for task, _ in chosen])
    training = [i for i, (_, role) in enumerate(chosen) if role == TRAIN]
    if recipe.heldout > len(training):
        raise UserError(
            f"heldout is {recipe.heldout} and there are {len(training)} tasks besides those of "
            f"the test subset {recipe.test}; request fewer."
        )
    for place in _order(recipe.seed, "held-out ARC tasks", len(training))[: recipe.heldout]:
        chosen[training[place]] = (chosen[training[place]][0], HELDOUT)
    return chosen, left_out


def _order(seed: int, purpose: str, count: int) -> list[int]:
    return random_permutations(random_words(derive_seed(seed, purpose), [0], count))[0].tolist()


def _assemble(
    chosen: Sequence[tuple[Puzzle, Role]], side: int, copies: int, seed: int, facts: dict[str, Any]
) -> Dataset:
    """Makes the dataset: pairs by task, demonstrations first, in the splits of their roles."""
    pairs: list[Pair] = []
    tasks: list[int] = []
    splits: dict[str, list[int]] = {}
    for number, (task, role) in enumerate(chosen):
        for split, those in zip(role, (task.demonstrations, task.tests), strict=True):
            if split:
                splits.setdefault(split, []).extend(range(len(pairs), len(pairs) + len(those)))
            pairs += those
            tasks += [number] * len(those)
    plans = [plan_copies(task, copies, seed) for task, _ in chosen]
    rows = Rows.of([task.name for task, _ in chosen], plans, IDENTITY)
    found = leaks(pairs, [rows.names[task] for task in tasks], splits)
    outputs = [pair.output if pair.output is not None else NOTHING for pair in pairs]
    return assemble(
        np.stack([to_canvas(pair.input, side) for pair in pairs]),
        np.stack([to_canvas(output, side) for output in outputs]),
        rows.first[tasks].astype(np.int32),
        {name: np.asarray(index, np.int64) for name, index in splits.items()},
        {
            "task": "arc",
            "side": side,
            "vocab": VOCAB,
            "copies": copies,
            "leaks": found,
            "seed": seed,
            "builder_version": BUILDER_VERSION,
            **facts,
            "source": facts["source"] | contents(pairs, splits),
        },
        rows,
    )


def _largest(task: Puzzle) -> int:
    """Number of rows or columns of the task's largest grid."""
    pairs = (*task.demonstrations, *task.tests)
    return max(max(grid.shape) for pair in pairs for grid in pair if grid is not None)


def _require_solutions(tasks: Sequence[Puzzle], where: str) -> None:
    for task in tasks:
        if any(test.output is None for test in task.tests):
            raise UserError(
                f"{where}: task {task.name} has a test without its solution, and this subset is "
                "trained on; put its ..._solutions.json beside the challenges, or make it the "
                "test subset."
            )


def _refuse_twins(tasks: Sequence[Puzzle]) -> None:
    seen: set[str] = set()
    for task in tasks:
        if task.name in seen:
            raise UserError(
                f"task {task.name} is in two of the subsets; leave one of them out "
                "(ARC-AGI-2's training tasks contain most of ARC-AGI-1)."
            )
        seen.add(task.name)
