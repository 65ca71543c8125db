"""Symmetries and random words: exact, uniform, reversible."""

import numpy as np
import pytest

from trm_jax.core.symmetries import GridSymmetry
from trm_jax.core.randomness import derive_seed
from trm_jax.core.randomness import mix
from trm_jax.core.randomness import random_permutations
from trm_jax.core.randomness import random_words
from trm_jax.tasks.sudoku.symmetry import cell_maps

BOXES = [(2, 2), (2, 3), (3, 2), (3, 3), (4, 4)]


def draw(box, count, seed=0):
    words = random_words(seed, np.arange(count), GridSymmetry.words(*box))
    return GridSymmetry.draw(words, *box)


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


@pytest.mark.parametrize("box", BOXES)
def test_inverse_undoes(box):
    side = box[0] * box[1]
    tokens = np.random.default_rng(0).integers(0, side + 2, (50, side**2)).astype(np.uint8)
    symmetry = draw(box, 50)
    moved = symmetry.apply(tokens)
    assert moved.dtype == np.uint8 and (moved != tokens).any()
    np.testing.assert_array_equal(symmetry.invert().apply(moved), tokens)


@pytest.mark.parametrize("box", BOXES)
def test_pads_and_blanks_are_never_renamed(box):
    side = box[0] * box[1]
    tokens = np.random.default_rng(0).integers(0, side + 2, (50, side**2)).astype(np.uint8)
    moved = draw(box, 50).apply(tokens)
    for token in (0, 1):
        np.testing.assert_array_equal((moved == token).sum(1), (tokens == token).sum(1))


@pytest.mark.parametrize("box", BOXES)
def test_cells_that_share_a_unit_still_do(box):
    rows, columns = box
    side = rows * columns
    row, column = np.divmod(np.arange(side**2), side)
    boxes = row // rows * rows + column // columns
    cells = draw(box, 40).cells
    for unit in (boxes, row, column):
        moved = unit[cells]  # unit that each cell comes from
        same = moved[:, :, None] == moved[:, None, :]
        if unit is boxes:
            assert (same == (boxes[:, None] == boxes)).all()
        else:
            lines = np.stack([row[:, None] == row, column[:, None] == column])
            assert (same[:, None] == lines).all((2, 3)).any(1).all()


@pytest.mark.parametrize(("box", "count"), [((2, 2), 128), ((2, 3), 3456), ((3, 2), 3456)])
def test_every_geometric_symmetry_is_enumerated_once_and_drawn(box, count):
    maps = cell_maps(*box)
    listed = {row.tobytes() for row in maps}
    assert len(maps) == len(listed) == count
    drawn = {row.tobytes() for row in draw(box, 20 * count if count < 1000 else 2000).cells}
    assert drawn <= listed
    assert len(drawn) == count if count < 1000 else len(drawn) > 1000


def test_transpositions_and_digits_are_evenly_drawn():
    symmetry = draw((3, 3), 6000)
    # Cells of one row come from one row unless the grid was transposed.
    transposed = symmetry.cells[:, 0] // 9 != symmetry.cells[:, 1] // 9
    assert abs(transposed.mean() - 0.5) < 0.03
    for digit in range(9):
        counts = np.bincount(symmetry.digits[:, digit], minlength=9)
        assert counts.min() > 540 and counts.max() < 800
    assert np.bincount(symmetry.cells[:, 40], minlength=81).min() > 40
    oblong = draw((2, 3), 200).cells.reshape(200, 6, 6) // 6
    assert (oblong == oblong[:, :, :1]).all()
