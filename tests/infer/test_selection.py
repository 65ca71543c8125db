"""Selections, against going through the trajectories one by one."""

from collections import Counter

import numpy as np
import pytest

from trm_jax.infer.selection import SELECTIONS, Trajectories, numbers_of, pick


def random_paths(seed, tries=7, shape=(3, 40)):
    draw = np.random.default_rng(seed)
    return Trajectories(
        draw.integers(0, 4, (tries, *shape)).astype(np.uint64),
        draw.normal(size=(tries, *shape)),
        draw.random((tries, *shape)) < 0.3,
    )


def by_hand(name, answers, logits, confident):
    order = sorted(range(len(answers)), key=lambda i: -logits[i])
    if name == "first":
        return next((i for i in range(len(answers)) if confident[i]), order[0])
    if name == "halt":
        return order[0]
    counted = [i for i in order if confident[i]] if name == "confident_majority" else order
    counted = counted or order
    votes = Counter(answers[i] for i in counted)
    return max(counted, key=lambda i: (votes[answers[i]], logits[i]))


@pytest.mark.parametrize("name", SELECTIONS)
@pytest.mark.parametrize("seed", range(3))
def test_as_by_hand(name, seed):
    paths = random_paths(seed)
    got = SELECTIONS[name](paths)
    assert got.shape == (3, 40)
    for place in np.ndindex(3, 40):
        mine = (array[(slice(None), *place)].tolist() for array in paths)
        assert got[place] == by_hand(name, *mine)


@pytest.mark.parametrize("name", SELECTIONS)
def test_of_one_there_is_no_choice(name):
    assert not SELECTIONS[name](random_paths(0, tries=1)).any()


@pytest.mark.parametrize("name", ["halt", "first"])
def test_what_was_not_run_is_not_taken(name):
    logits = np.asarray([[-np.inf], [-3.0], [-np.inf]])
    paths = Trajectories(np.zeros((3, 1), np.uint64), logits, np.zeros((3, 1), bool))
    assert SELECTIONS[name](paths).tolist() == [1]


def test_pick():
    values = np.arange(2 * 3 * 4).reshape(2, 3, 4)
    np.testing.assert_array_equal(
        pick(values, np.asarray([0, 1, 0])), [values[0, 0], values[1, 1], values[0, 2]]
    )
    np.testing.assert_array_equal(pick(values[..., 0], np.asarray([1, 1, 0])), [12, 16, 8])


def test_numbers_tell_answers_apart():
    draw = np.random.default_rng(0)
    answers = draw.integers(0, 3, (2000, 6)).astype(np.uint8)
    numbers = numbers_of(answers)
    assert len(np.unique(numbers)) == len(np.unique(answers, axis=0))
    np.testing.assert_array_equal(numbers_of(answers.reshape(20, 100, 6)).ravel(), numbers)
