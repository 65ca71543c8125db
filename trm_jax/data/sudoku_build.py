"""Builds Sudoku data sets from the generator, the Hugging Face hub or a CSV file."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from trm_jax.data.format import Dataset, assemble
from trm_jax.data.sudoku import Grid, Sudoku
from trm_jax.data.sudoku_csv import HUB_REPOSITORY, hub_file, read_csv
from trm_jax.data.sudoku_generate import generate
from trm_jax.errors import UserError
from trm_jax.grids import derive_seed, random_permutations, random_words

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
    """Builds a data set whose splits share no puzzle.

    The choice of puzzles is a pure function of the seed and the source's contents. With one seed
    and file, the held-out and test puzzles stay the same whatever `train` is, and a smaller
    training split is the beginning of a larger one (generated puzzles: only for equal numbers).

    Args:
        box: rows and columns of a box.
        source: "generate", "hub" (Sudoku-Extreme's training file) or the path of a CSV file.
        train: training puzzles; 0 takes all that a file has left.
        heldout: puzzles kept aside for choosing checkpoints, out of the same file.
        test: puzzles kept aside for the final score; a file's own test set: see `build_test`.
        seed: any integer.
        extra_givens: with "generate", givens put back into minimal puzzles at most.

    Raises:
        UserError: a bad row, fewer puzzles than asked for, or numbers that make no sense.
    """
    sudoku = _sudoku(box)
    counts = {"train": train, "heldout": heldout, "test": test}
    for name, count in counts.items():
        if count < 0:
            raise UserError(f"{name} is {count}; give the number of puzzles, 0 or more.")
    if source == "generate":
        if not train:
            raise UserError("train is 0; say how many puzzles to generate.")
        inputs, labels = generate(sudoku, seed, train + heldout + test, extra_givens)
        facts: dict[str, Any] = {"kind": "generate", "extra_givens": extra_givens}
    else:
        _refuse_misfits(source, test, extra_givens)
        inputs, labels, facts = _read(source, "train", sudoku)
        wanted = heldout + test + max(train, 1)
        if len(inputs) < wanted:
            raise UserError(
                f"{facts['name']} has {len(inputs)} puzzles, fewer than the {wanted} asked for "
                f"(train {max(train, 1)}, heldout {heldout}, test {test}); ask for fewer."
            )
    # Even generated puzzles are shuffled: where few kinds exist, the rare ones come late.
    words = random_words(derive_seed(seed, "choice of puzzles"), [0], len(inputs))
    order = random_permutations(words)[0]
    last = heldout + test + train if train else len(order)
    pieces = np.split(np.arange(last), [heldout, heldout + test])
    splits = dict(zip(("heldout", "test", "train"), pieces, strict=True))
    kept = order[:last]
    return _assemble(sudoku, inputs[kept], labels[kept], splits, seed, facts)


def build_test(source: str, box: Sequence[int]) -> Dataset:
    """Puts every puzzle of a CSV file (or of the hub's test file: "hub") in the split "test".

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


def _refuse_misfits(source: str, test: int, extra_givens: int) -> None:
    """Refuses wishes that a file cannot meet."""
    if extra_givens:
        raise UserError(
            f"extra_givens is {extra_givens}, but puzzles from {source} are taken as they are; "
            "set it to 0."
        )
    if source == "hub" and test:
        raise UserError("test is not 0, but the hub has a test file; set it to 0 and use that.")


def _read(source: str, split: str, sudoku: Sudoku) -> tuple[Grid, Grid, dict[str, Any]]:
    """Questions, answers and what the manifest says of the file."""
    path = hub_file(split) if source == "hub" else Path(source)
    inputs, labels = read_csv(path, sudoku)
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    facts = {"kind": "csv", "name": path.name, "sha256": digest}
    if source == "hub":
        facts |= {"kind": "hub", "repository": HUB_REPOSITORY}
    return inputs, labels, facts


def _assemble(
    sudoku: Sudoku,
    inputs: Grid,
    labels: Grid,
    splits: dict[str, np.ndarray],
    seed: int,
    source: dict[str, Any],
) -> Dataset:
    splits = {name: index for name, index in splits.items() if len(index)}
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
