"""Puzzles in a text: the frames of drawings."""

import numpy as np
import pytest

from trm_jax.show.panels import Panel
from trm_jax.show.terminal import render
from trm_jax.tasks.board import Board, Token
from trm_jax.tasks.given import joined_lines, without_frames

CELLS = np.asarray([[0, 1, 2, 1], [2, 2, 1, 0]], np.uint8)
KNOWN = {".": 0, "A": 1, "B": 2}


@pytest.mark.parametrize("box", [(0, 0), (1, 2)])
@pytest.mark.parametrize("fill", ["", "#ff0000"])
def test_a_framed_board_is_read_with_or_without_boxes(box, fill):
    board = Board(2, 4, tuple(Token(t, t, t, fill=fill) for t in KNOWN), box=box)
    for colour in (False, True):
        drawn = render(board, Panel("", CELLS), colour)
        (found,) = joined_lines(f"# a comment\n{drawn}\n", 2, 4, KNOWN)
        np.testing.assert_array_equal(found.tokens, CELLS.reshape(-1))
        assert found.line == 3


def test_symbols_that_look_like_a_frame_are_cells():
    lines = [(1, "+--+"), (2, "|.-|")]
    assert without_frames(lines, 4, "+-|.") == lines
    assert without_frames(lines, 2, ".-") == [(2, ".-")]
