"""Symmetric copies keep the rules and come back."""

import numpy as np
import pytest

from trm_jax.core.errors import UserError
from trm_jax.tasks.maze.maze import Maze
from trm_jax.tasks.rules import rules
from trm_jax.tasks.sudoku.sudoku import Sudoku
from trm_jax.tasks.symmetries import symmetries

SQUARE, WIDE, MAZE = Sudoku(2, 2), Sudoku(2, 3), Maze(5)


def solved(kind):
    """Some full grid: rows shifted so that boxes hold every digit."""
    side, rows = kind.side, kind.box_rows
    shifts = np.asarray([(r % rows) * kind.box_columns + r // rows for r in range(side)])
    return ((np.arange(side) + shifts[:, None]) % side + 2).astype(np.uint8).reshape(1, -1)


@pytest.mark.parametrize(
    ("kind", "which", "count"),
    [
        (SQUARE, "digits", 4),
        (SQUARE, "dihedral", 8),
        (SQUARE, "all", 50),
        (WIDE, "digits", 6),
        (WIDE, "dihedral", 4),
        (WIDE, "all", 50),
    ],
)
def test_copies_of_a_sudoku(kind, which, count):
    grid = np.repeat(solved(kind), count, axis=0)
    assert kind.valid_answers(grid).all()
    found = symmetries(kind, which, count, 0)
    turned = found.apply(grid)
    np.testing.assert_array_equal(turned[0], grid[0])
    assert kind.valid_answers(turned).all()
    random = np.random.default_rng(0).integers(1, kind.vocab, grid.shape).astype(np.uint8)
    np.testing.assert_array_equal(found.invert().apply(found.apply(random)), random)
    different = len(np.unique(found.apply(random[:1].repeat(count, axis=0)), axis=0))
    assert different == count or (which == "all" and different > 0.9 * count)


def test_digits_are_relabelled_cyclically_and_blanks_are_not():
    found = symmetries(SQUARE, "digits", 4, 0).take(np.asarray([3]))
    question = np.asarray([[1, 2, 3, 4, 5, *[0] * 11]], np.uint8)
    np.testing.assert_array_equal(found.apply(question)[0, :5], [1, 5, 2, 3, 4])


def test_copies_of_a_maze():
    maze = np.random.default_rng(0).integers(0, 6, (1, 25)).astype(np.uint8)
    found = symmetries(MAZE, "dihedral", 8, 0)
    turned = found.apply(maze.repeat(8, axis=0))
    squares = turned.reshape(8, 5, 5)
    np.testing.assert_array_equal(squares[1], np.rot90(squares[0]))
    np.testing.assert_array_equal(squares[6], squares[0].T)
    np.testing.assert_array_equal(found.invert().apply(turned), maze.repeat(8, axis=0))


@pytest.mark.parametrize(
    ("kind", "which", "count"),
    [(SQUARE, "digits", 5), (WIDE, "dihedral", 5), (MAZE, "dihedral", 9), (MAZE, "digits", 2)],
)
def test_more_than_there_are_is_refused(kind, which, count):
    with pytest.raises(UserError, match=f"{count} symmetric copies|no digits"):
        symmetries(kind, which, count, 0)


def test_rules_of_a_sudoku():
    answer = solved(WIDE)
    question = np.where(np.arange(36) % 3, 1, answer).astype(np.uint8)
    check = rules(WIDE)
    assert check(question, answer).all()
    other = answer.copy()
    other[0, [1, 2]] = other[0, [2, 1]]
    assert not check(question, other).any()
    moved = symmetries(WIDE, "digits", 2, 0).take(np.asarray([1])).apply(answer)
    assert WIDE.valid_answers(moved).all() and not check(question, moved).any()


def test_rules_of_a_maze():
    lines = "S  #G", " # # ", "     ", "#### ", "     "
    question = MAZE.parse("\n".join(lines))[None]
    right = MAZE.parse("\n".join(("S  #G", "o# #o", "ooooo", "#### ", "     ")))[None]
    other = MAZE.parse("\n".join(("Soo#G", " #o#o", "  ooo", "#### ", "     ")))[None]
    assert rules(MAZE)(question, right).all() and rules(MAZE)(question, other).all()
    assert not rules(MAZE)(question, question).any()
