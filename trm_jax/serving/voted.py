"""Solves puzzles with demonstrations by an exported program: rows by name, and copies vote."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from trm_jax.core.errors import UserError
from trm_jax.data.format import Dataset
from trm_jax.data.questions import Questions, trained_rows
from trm_jax.data.rows import Rows
from trm_jax.serving.load import Program
from trm_jax.tasks.task import task_of
from trm_jax.tasks.views import ask

AT_ONCE = 1024  # questions whose answers at all depths are in memory at a time


def vote(program: Program, rows: Rows, dataset: Dataset, copies: int, steps: int) -> dict[str, Any]:
    """Makes a submission: two attempts at each test.

    Args:
      program: exported program of a model of the dataset's task.
      rows: names of the rows of its puzzle table.
      dataset: the puzzles, from `Task.groups_of`.
      copies: augmented copies of each test that vote, besides the original.
      steps: number of supervision steps; at most the program's.

    Raises:
      UserError: the table lacks a row.
    """
    questions = ask(dataset, "test", copies)
    found = _find(questions, rows)
    verdict = task_of(dataset.manifest).judge(questions, "")
    assert verdict, "grouped tasks have a judge"
    for first in range(0, len(questions), AT_ONCE):
        places = np.arange(first, min(first + AT_ONCE, len(questions)))
        inputs, _, own = questions.show(places)
        answers, halt_logits = program(inputs, found[own])
        verdict.see(places, inputs, answers[:steps], halt_logits[:steps])
    submission: dict[str, Any] = verdict.result()["submission"]
    return submission


def _find(questions: Questions, rows: Rows) -> NDArray[np.int32]:
    try:
        return trained_rows(questions, rows)
    except UserError as error:
        known = set(rows.names)
        new = [name for name in questions.dataset.rows.names if name not in known]
        what = f"task {new[0]!r} is" if new else "some of the copies are"
        raise UserError(
            f"{what} not in the puzzle table of this exported model, which cannot train new rows; "
            "load the work directory that it came from, whose solve() trains them, or give tasks "
            "that it was trained on, with at most as many copies."
        ) from error
