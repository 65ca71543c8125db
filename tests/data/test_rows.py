"""Rows of puzzle tables are found by name, wherever they stand."""

import numpy as np

from tests.arc_tasks import some_task
from trm_jax.data.rows import BLANK_ROWS, Rows
from trm_jax.tasks.arc.copies import plan_copies


def rows(names, copies=20, seed=0):
    tasks = [some_task(name) for name in names]
    return Rows.of(names, [plan_copies(task, copies, seed) for task in tasks])


def by_name(have, want):
    """The plain way: a dictionary of names."""
    places = {have.name(i): i for i in range(len(have))}
    return [places.get(want.name(i), -1) for i in range(len(want))]


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
