"""Rows of puzzle tables are found by name, wherever they stand."""

from types import SimpleNamespace

import numpy as np

from tests.arc_tasks import some_task
from trm_jax.data.rows import BLANK_ROWS, Rows
from trm_jax.tasks.arc.copies import plan_copies
from trm_jax.tasks.arc.records import IDENTITY
from trm_jax.tasks.task import task_of

ARC = task_of({"task": "arc"})


def rows(names, copies=20, seed=0):
    tasks = [some_task(name) for name in names]
    return Rows.of(names, [plan_copies(task, copies, seed) for task in tasks], IDENTITY)


def published_names(table):
    """A name for each row, which says what the copy looks like."""
    dataset = SimpleNamespace(rows=table)
    return [ARC.row_name(dataset, row) for row in range(len(table))]


def by_name(have, want):
    """The plain way: a dictionary of names."""
    places = {name: row for row, name in enumerate(published_names(have))}
    return [places.get(name, -1) for name in published_names(want)]


def test_names_are_found_whatever_the_order_and_number():
    have = rows(["a", "b", "c", "d"])
    for want in (
        have,
        rows(["d", "b"]),
        rows(["c", "x", "a"], copies=5),
        rows(["a", "b"], copies=60),
        rows(["b", "c"], seed=1),
        BLANK_ROWS,
    ):
        np.testing.assert_array_equal(have.find(want), by_name(have, want))


def test_the_blank_row_is_the_blank_row():
    have = rows(["a"])
    assert have.find(BLANK_ROWS).tolist() == [0]
    assert BLANK_ROWS.find(have).tolist() == [0] + [-1] * (len(have) - 1)
    assert BLANK_ROWS.name(0) == "<blank>" and len(BLANK_ROWS) == 1


def test_equal_transforms_of_other_tasks_are_other_rows():
    one, other = rows(["a"]), rows(["b"])
    assert (one.find(other)[1:] == -1).all()
    renamed = Rows(("a",), other.first, other.transforms)
    assert (one.find(renamed) >= 0).sum() == len(
        {tuple(t) for t in one.transforms[1:].tolist()}
        & {tuple(t) for t in other.transforms[1:].tolist()}
    ) + 1


def test_rows_are_named_by_their_puzzle_and_copy():
    table = rows(["a", "b"], copies=2)
    names = [table.name(row) for row in range(len(table))]
    assert names == ["<blank>", "a", "a, copy 1", "a, copy 2", "b", "b, copy 1", "b, copy 2"]
    assert [table.puzzle(row) for row in range(1, 7)] == [0, 0, 0, 1, 1, 1]
    assert table.puzzles(np.arange(7)).tolist() == [-1, 0, 0, 0, 1, 1, 1]
    assert table.counts().tolist() == [3, 3] and table.grouped and not BLANK_ROWS.grouped


def test_published_names_say_how_a_copy_was_made():
    table = rows(["a", "b"], copies=2)
    blank, original, copy = published_names(table)[:3]
    colours = "".join(map(str, table.transforms[2, 1:].tolist()))
    assert (blank, original) == ("<blank>", "a")
    assert copy == f"a|||t{table.transforms[2, 0]}|||0{colours}"


def test_transforms_of_any_width_are_told_apart():
    """What the numbers mean, and how large they are, is the task's business."""
    plans = [np.asarray([[0, 0], [200, 1], [1, 200]], np.uint8)] * 2
    table = Rows.of(["a", "b"], plans, np.zeros(2, np.uint8))
    other = Rows.of(["b", "c"], [plans[0][[0, 2]], plans[1]], np.zeros(2, np.uint8))
    assert table.find(other).tolist() == [0, 4, 6, -1, -1, -1]
    wider = rows(["a"])
    assert table.find(wider).tolist() == [0] + [-1] * (len(wider) - 1)
