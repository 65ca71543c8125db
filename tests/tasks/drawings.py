"""Boards as the program draws them, read back."""

import numpy as np

from trm_jax.core.frame import PLAIN
from trm_jax.show.panels import Panel
from trm_jax.show.terminal import render


def check_read_back(task, shape, boards):
    """Checks that a task reads boards [S] that are drawn in colours, plainly, or in ASCII."""
    for colour in (False, True):
        panels = [Panel("", task.grid(shape, board)) for board in boards]
        drawn = [render(task.board(shape), panel, colour) for panel in panels]
        for text in (drawn, [each.translate(PLAIN) for each in drawn]):
            found = task.read_all(shape, "\npuzzle 1: solved\n".join(text))
            np.testing.assert_array_equal([g.tokens for g in found], [*boards])
