"""Draws the augmented copies of each ARC task, without repeated content."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from trm_jax.core.randomness import derive_seed, mix, random_permutations, random_words
from trm_jax.core.symmetries import dihedral
from trm_jax.tasks.arc.records import (
    COLOURS,
    IDENTITY,
    MAX_SIDE,
    Pair,
    Puzzle,
    Transforms,
    colour_map,
)

ATTEMPTS = 5
"""Max number of draws per requested copy; tasks of few colours have few copies. As published."""

Words = NDArray[np.uint64]


def draw_transforms(words: Words) -> Transforms:
    """Uniformly random transforms, uint8 [n, 10], from random words uint64 [n, 10]."""
    symmetry = (words[:, :1] >> np.uint64(61)).astype(np.uint8)
    colours = random_permutations(words[:, 1:]) + 1
    return np.concatenate([symmetry, colours.astype(np.uint8)], axis=1)


def plan_copies(task: Puzzle, copies: int, seed: int) -> Transforms:
    """Draws the augmented copies of a task.

    The draws depend only on the seed and the task's name, so that a plan with fewer copies is a
    prefix of one with more, whatever the other tasks. Copies are different in their demonstrations
    and the tests' inputs; the tests' outputs are not used, since they must stay unknown.

    Args:
        task: a task with at least one demonstration.
        copies: number of copies besides the original.
        seed: any integer.

    Returns:
        Transforms uint8 [1 + m, 10], the original first; m is less than `copies` if the task does
        not have as many.
    """
    seed = derive_seed(seed, f"copies of ARC task {task.name}")
    pairs = [*task.demonstrations, *(Pair(test.input, None) for test in task.tests)]
    weights = _colour_weights(pairs)
    kept: Transforms = IDENTITY[None]
    # a quarter more draws than copies is almost always enough
    for draws in (copies + copies // 4, ATTEMPTS * copies):
        words = random_words(seed, np.arange(draws), COLOURS)
        drawn = np.concatenate([IDENTITY[None], draw_transforms(words)])
        _, first = np.unique(_content_hashes(weights, drawn), return_index=True)
        kept = drawn[np.sort(first)[: copies + 1]]
        if len(kept) > copies:
            break
    return kept


def _colour_weights(pairs: Sequence[Pair]) -> Words:
    """Sums for each symmetry, pair and colour the random words of the cells with that colour.

    Returns:
        uint64 [8, pairs, 10].
    """
    cells = MAX_SIDE * MAX_SIDE
    cell_words = random_words(0, np.arange(2), cells).reshape(2, MAX_SIDE, MAX_SIDE)
    weights = np.zeros((8, len(pairs), COLOURS), np.uint64)
    for place, pair in enumerate(pairs):
        for words, grid in zip(cell_words, pair, strict=True):
            if grid is None:
                continue
            for symmetry in range(8):
                turned = dihedral(grid, symmetry)
                here = words[: turned.shape[0], : turned.shape[1]]
                np.add.at(weights[symmetry, place], turned.reshape(-1), here.reshape(-1))
    return weights


def _content_hashes(weights: Words, transforms: Transforms) -> Words:
    """64-bit hash of a task's content under each transform [n, 10], for any order of its pairs.

    A pair's hash is the sum, over its cells, of the cell's word times its colour's word. It is
    linear in the colours, so that recolouring does not need the grid. Equal contents have equal
    hashes; among a thousand different ones the probability of a collision is about 1e-13.
    """
    colour_words = random_words(1, [0], COLOURS)[0] | np.uint64(1)
    recoloured = colour_words[colour_map(transforms)]
    hashes = np.empty(len(transforms), np.uint64)
    for symmetry in range(8):
        here = transforms[:, 0] == symmetry
        pairs = (recoloured[here][:, None, :] * weights[symmetry][None]).sum(axis=2)
        hashes[here] = mix(pairs).sum(axis=1)
    return hashes
