"""ARC tasks by an exported program: its rows are found by name, and the copies of a test vote."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trm_jax.core.errors import UserError
from trm_jax.data.questions import Questions, ask, trained_rows
from trm_jax.data.rows import Rows
from trm_jax.serving.forms import Solved
from trm_jax.serving.load import Program
from trm_jax.tasks.arc.build import build_tasks
from trm_jax.tasks.arc.records import Grid, Puzzle
from trm_jax.tasks.judges import ArcJudge

VOTING = "count"
AT_ONCE = 1024  # questions whose answers at all depths are held at a time


def vote(
    program: Program, rows: Rows, tasks: Sequence[Puzzle], copies: int, steps: int
) -> dict[str, Any]:
    """Two attempts at each test, as `arc_vote.submission` gives them.

    Args:
      program: exported from a model of ARC.
      rows: whose the rows of its puzzle table are.
      tasks: that the table knows.
      copies: augmented copies of each test that vote, besides the original.
      steps: supervision steps, no more than the program takes.

    Raises:
      UserError: the table lacks a row, or a grid is larger than the canvas.
    """
    kind = program.manifest["kind"]
    # the seed of the data set that was trained on: so copies get the names that the table has
    dataset = build_tasks(tasks, kind["side"], copies, kind["seed"], "solve")
    questions = ask(dataset, "test", copies)
    found = _find(questions, rows)
    verdict = ArcJudge(questions, VOTING)
    for first in range(0, len(questions), AT_ONCE):
        places = np.arange(first, min(first + AT_ONCE, len(questions)))
        inputs, _, own = questions.show(places)
        answers, halt_logits = program(inputs, found[own])
        verdict.see(places, inputs, answers[:steps], halt_logits[:steps])
    return verdict.result()["submission"]


def _find(questions: Questions, rows: Rows) -> NDArray[np.int32]:
    try:
        return trained_rows(questions, rows)
    except UserError as error:
        known = set(rows.tasks)
        new = [name for name in questions.dataset.rows.tasks if name not in known]
        what = f"task {new[0]!r} is" if new else "some of the copies are"
        raise UserError(
            f"{what} not in the puzzle table of this exported model, which cannot fit new rows; "
            "load the work directory it came from, whose solve() fits them, or give tasks by the "
            "names and with no more copies than it was trained on."
        ) from error


def attempted(name: str, two: Mapping[str, Any], output: Grid | None, steps: int) -> Solved:
    """The answer to one test.

    Args:
      name: of the task.
      two: attempts at it.
      output: the right answer, None where nobody told it.
      steps: that were taken.
    """
    first, second = (np.asarray(grid, np.int64) for grid in two.values())
    right = None
    if output is not None:
        right = any(np.array_equal(grid, output) for grid in (first, second))
    return Solved(answer=first, solved=right, steps=steps, name=name, second=second)
