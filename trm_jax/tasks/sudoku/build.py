"""Builds Sudoku datasets from the generator, the Hugging Face hub or a CSV file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from trm_jax.core.errors import UserError
from trm_jax.data.choice import check_counts, choose
from trm_jax.data.csv_rows import file_facts
from trm_jax.data.format import Dataset, assemble
from trm_jax.tasks.sudoku.generate import generate
from trm_jax.tasks.sudoku.read import HUB_REPOSITORY, hub_file, read_csv
from trm_jax.tasks.sudoku.sudoku import Grid, Sudoku

BUILDER_VERSION = 1


def build(
    *,
    box: Sequence[int],
    source: str,
    train: int,
    heldout: int,
    test: int = 0,
    seed: int,
    extra_givens: int = 0,
) -> Dataset:
    """Builds a dataset whose splits share no puzzle.

    The choice of puzzles is a pure function of the seed and the source's contents. For a given seed
    and file, the held-out and test puzzles do not depend on `train`, and a smaller training split
    is a prefix of a larger one (for generated puzzles, only if the numbers are equal).

    Args:
        box: rows and columns of a box.
        source: "generate", "hub" (Sudoku-Extreme's training file) or the path of a CSV file.
        train: number of training puzzles; 0 for all that remain of a file.
        heldout: number of held-out puzzles for choosing checkpoints, from the same file.
        test: number of test puzzles from the same file; for a separate test file see `build_test`.
        seed: any integer.
        extra_givens: with "generate", max number of givens put back into minimal puzzles.

    Raises:
        UserError: a row is invalid, there are too few puzzles, or a number is invalid.
    """
    sudoku = _sudoku(box)
    counts = {"train": train, "heldout": heldout, "test": test}
    check_counts(source, **counts)
    if source == "generate":
        inputs, labels = generate(sudoku, seed, train + heldout + test, extra_givens)
        facts: dict[str, Any] = {"kind": "generate", "extra_givens": extra_givens}
    elif extra_givens:
        raise UserError(
            f"extra_givens is {extra_givens}, but puzzles from {source} are not changed; set it to "
            "0."
        )
    else:
        inputs, labels, facts = _read(source, "train", sudoku)
    kept, splits = choose(len(inputs), facts.get("name", source), **counts, seed=seed)
    return _assemble(sudoku, inputs[kept], labels[kept], splits, seed, facts)


def build_test(source: str, box: Sequence[int]) -> Dataset:
    """Builds a dataset with the split "test" from a CSV file, or "hub" for the hub's test file.

    Raises:
        UserError: the file or one of its rows is wrong.
    """
    sudoku = _sudoku(box)
    inputs, labels, facts = _read(source, "test", sudoku)
    return _assemble(sudoku, inputs, labels, {"test": np.arange(len(inputs))}, 0, facts)


def _sudoku(box: Sequence[int]) -> Sudoku:
    if len(box) != 2:
        raise UserError(f"box is {list(box)}; give its rows and columns, for example 3 and 3.")
    return Sudoku(int(box[0]), int(box[1]))


def _read(source: str, split: str, sudoku: Sudoku) -> tuple[Grid, Grid, dict[str, Any]]:
    """Reads questions, answers and the manifest's facts about the file."""
    path = hub_file(split) if source == "hub" else Path(source)
    inputs, labels = read_csv(path, sudoku)
    return inputs, labels, file_facts(path, HUB_REPOSITORY if source == "hub" else None)


def _assemble(
    sudoku: Sudoku,
    inputs: Grid,
    labels: Grid,
    splits: dict[str, np.ndarray],
    seed: int,
    source: dict[str, Any],
) -> Dataset:
    facts = {
        "task": "sudoku",
        "box": [sudoku.box_rows, sudoku.box_columns],
        "vocab": sudoku.vocab,
        "table_rows": 1,
        "seed": seed,
        "source": source,
        "builder_version": BUILDER_VERSION,
    }
    return assemble(inputs, labels, np.zeros(len(inputs), np.int32), splits, facts)
