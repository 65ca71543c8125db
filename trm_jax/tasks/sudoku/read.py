"""Reads Sudokus from CSV files, such as Sudoku-Extreme (`source,question,answer,rating`)."""

import os
from pathlib import Path

import numpy as np

from trm_jax.core.symmetries import FIRST_DIGIT
from trm_jax.data import csv_rows
from trm_jax.tasks.sudoku.alphabet import alphabet_of_answers, first_mixed
from trm_jax.tasks.sudoku.sudoku import Grid, Sudoku

HUB_REPOSITORY = "sapientinc/sudoku-extreme"


def read_csv(path: str | os.PathLike[str], sudoku: Sudoku) -> tuple[Grid, Grid]:
    """Reads all puzzles of a file; see `csv_rows.read_csv`.

    That a puzzle has only one solution is not checked.

    Args:
        path: a CSV file, gzipped or not.
        sudoku: the shape of its puzzles.

    Returns:
        Questions and answers, uint8 [M, S] tokens each, in the order of the file.

    Raises:
        UserError: the file or a row is invalid; the message names the file, line and reason.
    """
    kind = csv_rows.Kind(
        cells=sudoku.cells,
        table=lambda answers: alphabet_of_answers(sudoku.side, "".join(answers)).table(),
        symbols=f"{sudoku.symbols[0]} to {sudoku.symbols[-1]}, and '.' for a blank",
        other_size="give another box shape",
        first_wrong=lambda questions, answers: _first_wrong(sudoku, questions, answers),
        first_unclear=first_mixed,
        padding="0",
    )
    return csv_rows.read_csv(path, kind)


def hub_file(split: str) -> Path:
    """Downloads (once) a file of Sudoku-Extreme: "train" (719 MB) or "test" (79 MB).

    Raises:
        UserError: the extra `hub` is not installed, or the hub cannot be reached.
    """
    return csv_rows.hub_file(HUB_REPOSITORY, split)


def _first_wrong(sudoku: Sudoku, questions: Grid, answers: Grid) -> tuple[int, str] | None:
    changed = ((questions >= FIRST_DIGIT) & (questions != answers)).any(1)
    bad = np.flatnonzero(changed | ~sudoku.valid_answers(answers))
    if not len(bad):
        return None
    row = int(bad[0])
    reason = sudoku.check_answer(questions[row], answers[row])[0]
    return row, f"the answer does not solve the question ({reason})"
