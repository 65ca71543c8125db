"""Random words by position: exact, uniform, independent of what else is drawn."""

import numpy as np

from trm_jax.core.randomness import derive_seed, mix, random_permutations, random_words


def test_mix_is_the_published_splitmix64():
    # First outputs of Vigna's splitmix64.c for the state 1234567.
    states = np.uint64(1234567) + np.arange(1, 4, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    assert mix(states).tolist() == expected


def test_each_row_of_words_depends_on_seed_and_its_counter_alone():
    words = random_words(7, np.asarray([3, 9, 2**40]), 5)
    assert words.dtype == np.uint64 and words.shape == (3, 5)
    np.testing.assert_array_equal(random_words(7, [9], 5)[0], words[1])
    np.testing.assert_array_equal(random_words(7, [2**40], 3)[0], words[2, :3])
    assert (random_words(8, [3, 9, 2**40], 5) != words).all()
    np.testing.assert_array_equal(random_words(-1, [0], 4), random_words(2**64 - 1, [0], 4))


def test_words_look_random():
    words = np.concatenate([random_words(seed, np.arange(500), 20) for seed in range(3)]).ravel()
    assert len(np.unique(words)) == len(words)
    for bit in range(64):
        assert abs((words >> np.uint64(bit) & np.uint64(1)).mean() - 0.5) < 0.02


def test_derived_seeds_differ():
    seeds = {derive_seed(seed, purpose) for seed in range(20) for purpose in ("a", "b")}
    assert len(seeds) == 40


def test_all_permutations_are_equally_likely():
    permutations = random_permutations(random_words(0, np.arange(24_000), 4))
    kinds, counts = np.unique(permutations, axis=0, return_counts=True)
    assert len(kinds) == 24
    assert counts.min() > 800 and counts.max() < 1200
