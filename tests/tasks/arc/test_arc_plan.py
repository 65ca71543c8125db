"""The plan of augmented copies: seeded, without duplicates, the same whatever else is there."""

import numpy as np

from tests.arc_tasks import plain_copy, some_task
from trm_jax.core.randomness import derive_seed, random_words
from trm_jax.tasks.arc.copies import ATTEMPTS, draw_transforms, plan_copies
from trm_jax.tasks.arc.records import IDENTITY, Pair, Puzzle


def content(task, transform):
    """All that a copy shows, whatever the order of its pairs."""
    pairs = [*task.demonstrations, *(Pair(test.input, None) for test in task.tests)]
    shown = [
        tuple(
            (plain_copy(g, transform).shape, plain_copy(g, transform).tobytes())
            for g in pair
            if g is not None
        )
        for pair in pairs
    ]
    return tuple(sorted(shown))


def test_the_original_comes_first_and_no_content_twice():
    task = some_task("t", colours=4)
    plan = plan_copies(task, 200, seed=0)
    assert plan.dtype == np.uint8 and plan.shape == (201, 10)
    np.testing.assert_array_equal(plan[0], IDENTITY)
    assert len({content(task, transform) for transform in plan}) == len(plan)
    assert (np.sort(plan[:, 1:], axis=1) == np.arange(1, 10)).all() and plan[:, 0].max() == 7


def test_a_task_of_few_looks_has_few_copies_and_all_of_them():
    """One black cell and one colour, the same from all sides: nine looks, and no more."""
    task = Puzzle("dot", [Pair(np.uint8([[0]]), np.uint8([[3]]))], [Pair(np.uint8([[0]]), None)])
    plan = plan_copies(task, 1000, seed=0)
    assert len(plan) == 9
    assert len({content(task, transform) for transform in plan}) == 9


def test_exactly_the_draws_with_new_content_are_kept():
    task = some_task("few", demonstrations=1, most=2, colours=3)
    plan = plan_copies(task, 30, seed=5)
    seen, kept = set(), []
    for transform in plan_copies_by_hand(task, 30, seed=5):
        look = content(task, transform)
        if look not in seen:
            seen.add(look)
            kept.append(transform)
    np.testing.assert_array_equal(plan, kept[:31])


def plan_copies_by_hand(task, copies, seed):
    words = random_words(
        derive_seed(seed, f"copies of ARC task {task.name}"), np.arange(ATTEMPTS * copies), 10
    )
    return [IDENTITY, *draw_transforms(words)]


def test_a_smaller_plan_is_the_beginning_of_a_larger_one():
    task = some_task("t")
    np.testing.assert_array_equal(plan_copies(task, 10, 0), plan_copies(task, 100, 0)[:11])
    assert len(plan_copies(task, 0, 0)) == 1


def test_seed_and_name_decide():
    task = some_task("t")
    plan = plan_copies(task, 20, 0)
    np.testing.assert_array_equal(plan, plan_copies(task, 20, 0))
    assert (plan != plan_copies(task, 20, 1)).any()
    assert (plan != plan_copies(task._replace(name="u"), 20, 0)).any()


def test_the_answers_of_tests_play_no_part():
    task = some_task("t")
    hidden = task._replace(tests=[Pair(test.input, None) for test in task.tests])
    np.testing.assert_array_equal(plan_copies(task, 50, 0), plan_copies(hidden, 50, 0))


def test_draws_are_uniform():
    transforms = draw_transforms(random_words(0, np.arange(8000), 10))
    counts = np.bincount(transforms[:, 0], minlength=8)
    assert abs(counts - 1000).max() < 150
    for place in range(1, 10):
        counts = np.bincount(transforms[:, place], minlength=10)[1:]
        assert abs(counts - 8000 / 9).max() < 150
