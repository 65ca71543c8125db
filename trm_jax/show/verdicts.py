"""Whether an answer is correct, and a description of what is wrong."""

from typing import NamedTuple

import numpy as np

from trm_jax.tasks.board import Grid
from trm_jax.tasks.task import Shape, Task, Tokens


class Verdict(NamedTuple):
    """The verdict on one answer.

    Attributes:
      right: whether it is correct; None if there is neither a label nor rules.
      differs: how it differs from the label; empty if it does not, or there is no label.
      broken: the rules that it breaks; empty if it breaks none, or there are no rules.
    """

    right: bool | None
    differs: str
    broken: list[str]


def judge(task: Task, shape: Shape, question: Tokens, answer: Tokens, label: Tokens) -> Verdict:
    """Checks an answer against its label and, if it differs, against the task's rules.

    Args:
      task: the puzzle's task.
      shape: shape of the puzzle.
      question: uint8 [S], token ids.
      answer: uint8 [S], token ids.
      label: uint8 [S], the correct answer; all 0 if there is none.
    """
    differs, known = "", bool(label.any())
    if known:
        differs = difference(task.grid(shape, answer), task.grid(shape, label))
        if not differs:
            return Verdict(True, "", [])
    broken = task.check(shape, question, answer)
    if broken is None:
        return Verdict(False if known else None, differs, [])
    return Verdict(not broken, differs, broken)


def difference(grid: Grid, answer: Grid) -> str:
    """Describes how a grid differs from the answer, without padding; empty if it does not."""
    if grid.shape == answer.shape:
        wrong = int(np.count_nonzero((grid != answer) & (answer > 0)))
        return f"{wrong} cell{'s' if wrong > 1 else ''} wrong" if wrong else ""
    if not grid.size:
        return "no grid"
    return f"{_size(grid)}, not {_size(answer)}"


def _size(grid: Grid) -> str:
    return "x".join(map(str, grid.shape))
