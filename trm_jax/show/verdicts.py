"""Whether an answer is right, and how it is wrong, in words."""

from typing import NamedTuple

import numpy as np

from trm_jax.tasks.board import Grid
from trm_jax.tasks.task import Shape, Task, Tokens


class Verdict(NamedTuple):
    """What is known of one answer.

    Attributes:
      right: None where neither the answer nor the rules are known.
      differs: how it differs from the known answer; empty where it does not, or none is known.
      broken: the rules that it breaks; empty where it keeps them, or they are not known.
    """

    right: bool | None
    differs: str
    broken: list[str]


def judge(task: Task, shape: Shape, question: Tokens, answer: Tokens, label: Tokens) -> Verdict:
    """Compares an answer with the known one, and with the rules where another may be as good.

    Args:
      task: whose puzzle it is.
      shape: of its puzzles.
      question: [S].
      answer: [S].
      label: [S], the known answer; all 0 where there is none.
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
    """How a grid differs from the answer, of which pads are not scored; empty if it does not."""
    if grid.shape == answer.shape:
        wrong = int(np.count_nonzero((grid != answer) & (answer > 0)))
        return f"{wrong} cell{'s' if wrong > 1 else ''} wrong" if wrong else ""
    if not grid.size:
        return "no grid"
    return f"{_size(grid)}, not {_size(answer)}"


def _size(grid: Grid) -> str:
    return "x".join(map(str, grid.shape))
