"""Symmetric copies keep the rules and come back, for every task that has any."""

from types import SimpleNamespace

import numpy as np
import pytest

from trm_jax.core.errors import UserError
from trm_jax.infer.halting import Halt
from trm_jax.infer.search import Search
from trm_jax.tasks.maze.maze import Maze
from trm_jax.tasks.sudoku.sudoku import Sudoku
from trm_jax.tasks.task import SYMMETRIES, task_of

SQUARE, WIDE = {"task": "sudoku", "box": [2, 2]}, {"task": "sudoku", "box": [2, 3]}
MAZE, ARC = {"task": "maze", "side": 5}, {"task": "arc", "side": 5}


def symmetries(shape, which, count, seed=0):
    return task_of(shape).symmetries(shape, which, count, seed)


def solved(shape):
    """Some full grid: rows shifted so that boxes hold every digit."""
    kind = Sudoku.from_manifest(shape)
    side, rows = kind.side, kind.box_rows
    shifts = np.asarray([(r % rows) * kind.box_columns + r // rows for r in range(side)])
    return ((np.arange(side) + shifts[:, None]) % side + 2).astype(np.uint8).reshape(1, -1)


@pytest.mark.parametrize(
    ("shape", "which", "count"),
    [
        (SQUARE, "digits", 4),
        (SQUARE, "dihedral", 8),
        (SQUARE, "all", 50),
        (WIDE, "digits", 6),
        (WIDE, "dihedral", 4),
        (WIDE, "all", 50),
    ],
)
def test_copies_of_a_sudoku(shape, which, count):
    kind = Sudoku.from_manifest(shape)
    grid = np.repeat(solved(shape), count, axis=0)
    assert kind.valid_answers(grid).all()
    found = symmetries(shape, which, count)
    assert len(found) == count
    turned = found.apply(grid)
    np.testing.assert_array_equal(turned[0], grid[0])
    assert kind.valid_answers(turned).all()
    random = np.random.default_rng(0).integers(1, kind.vocab, grid.shape).astype(np.uint8)
    np.testing.assert_array_equal(found.invert().apply(found.apply(random)), random)
    different = len(np.unique(found.apply(random[:1].repeat(count, axis=0)), axis=0))
    assert different == count or (which == "all" and different > 0.9 * count)


def test_drawn_copies_go_by_their_seed():
    one, again, other = (symmetries(WIDE, "all", 9, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one.cells, again.cells)
    assert (one.cells != other.cells).any() and (one.cells[0] == other.cells[0]).all()


def test_digits_are_relabelled_cyclically_and_blanks_are_not():
    found = symmetries(SQUARE, "digits", 4).take(np.asarray([3]))
    question = np.asarray([[1, 2, 3, 4, 5, *[0] * 11]], np.uint8)
    np.testing.assert_array_equal(found.apply(question)[0, :5], [1, 5, 2, 3, 4])


@pytest.mark.parametrize("which", ["dihedral", "all"])
def test_copies_of_a_maze(which):
    maze = np.random.default_rng(0).integers(0, 6, (1, 25)).astype(np.uint8)
    found = symmetries(MAZE, which, 8)
    turned = found.apply(maze.repeat(8, axis=0))
    squares = turned.reshape(8, 5, 5)
    np.testing.assert_array_equal(squares[0].reshape(1, 25), maze)
    np.testing.assert_array_equal(squares[1], np.rot90(squares[0]))
    np.testing.assert_array_equal(squares[6], squares[0].T)
    np.testing.assert_array_equal(found.invert().apply(turned), maze.repeat(8, axis=0))


@pytest.mark.parametrize(
    ("shape", "which", "count"),
    [(SQUARE, "digits", 5), (WIDE, "dihedral", 5), (MAZE, "dihedral", 9)],
)
def test_more_than_there_are_is_refused(shape, which, count):
    questions = SimpleNamespace(dataset=SimpleNamespace(manifest=shape))
    search = Search(Halt(max_steps=1), copies=count, symmetry=which)
    with pytest.raises(UserError, match=f"^--copies is {count}, .* have {count - 1} .*fewer"):
        search.symmetries(questions)
    fewer = Search(Halt(max_steps=1), copies=count - 2, symmetry=which)
    assert len(fewer.symmetries(questions)) == count - 2


@pytest.mark.parametrize(
    ("shape", "which"), [(MAZE, "digits"), *((ARC, which) for which in SYMMETRIES)]
)
def test_a_task_without_them_says_so_by_its_name(shape, which):
    with pytest.raises(UserError, match=f"the task '{shape['task']}' has no (digits|symmetries)"):
        symmetries(shape, which, 2)


def test_rules_of_a_sudoku():
    kind, task = Sudoku.from_manifest(WIDE), task_of(WIDE)
    answer = solved(WIDE)
    question = np.where(np.arange(36) % 3, 1, answer).astype(np.uint8)
    assert task.accepts(WIDE, question, answer).all()
    other = answer.copy()
    other[0, [1, 2]] = other[0, [2, 1]]
    assert not task.accepts(WIDE, question, other).any()
    moved = symmetries(WIDE, "digits", 2).take(np.asarray([1])).apply(answer)
    assert kind.valid_answers(moved).all() and not task.accepts(WIDE, question, moved).any()


def test_rules_of_a_maze():
    maze, task = Maze(5), task_of(MAZE)
    lines = "S  #G", " # # ", "     ", "#### ", "     "
    question = maze.parse("\n".join(lines))[None]
    right = maze.parse("\n".join(("S  #G", "o# #o", "ooooo", "#### ", "     ")))[None]
    other = maze.parse("\n".join(("Soo#G", " #o#o", "  ooo", "#### ", "     ")))[None]
    assert task.accepts(MAZE, question, right).all() and task.accepts(MAZE, question, other).all()
    assert not task.accepts(MAZE, question, question).any()


def test_rules_that_nobody_knows_accept_nothing_and_refuse_nothing():
    canvas = np.zeros((2, 25), np.uint8)
    assert task_of(ARC).accepts(ARC, canvas, canvas) is None
    assert task_of(ARC).check(ARC, canvas[0], canvas[0]) is None
