"""Selection of a question's answer among its trajectories.

All arrays have the trajectories as their first axis: [K, ...]. No selection uses labels or the
task's rules.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from trm_jax.core.randomness import derive_seed, random_words


class Trajectories(NamedTuple):
    """The inputs of a selection.

    Attributes:
      answers: uint64 [K, ...], a hash of each answer, see `numbers_of`.
      halt_logits: float [K, ...]; -inf where a trajectory was not run to its end.
      confident: bool [K, ...], whether the halting rule was satisfied.
    """

    answers: NDArray[np.uint64]
    halt_logits: NDArray[np.floating]
    confident: NDArray[np.bool_]


def surest(paths: Trajectories) -> NDArray[np.int64]:
    """Index, int64 [...], of the largest halting logit ("best-Q@K" of PTRM, arXiv 2605.19943)."""
    return np.argmax(paths.halt_logits, axis=0)


def majority(paths: Trajectories) -> NDArray[np.int64]:
    """Index of the most frequent answer ("mode@K" of PTRM), by halting logit if there are ties."""
    return _most_frequent(paths, np.ones_like(paths.confident))


def confident_majority(paths: Trajectories) -> NDArray[np.int64]:
    """`majority` among the confident trajectories, or among all if none is confident.

    Source: "Augmented HRM", arXiv 2601.10679.
    """
    counted = paths.confident | ~paths.confident.any(axis=0)
    return _most_frequent(paths, counted)


def first(paths: Trajectories) -> NDArray[np.int64]:
    """The first confident trajectory in their order, or `surest` if none is confident.

    After "halt-first", arXiv 2601.19085, where all trajectories run in parallel and the one that
    halts first is taken. The fixed order makes the answer independent of the batch.
    """
    confident = paths.confident
    return np.where(confident.any(axis=0), np.argmax(confident, axis=0), surest(paths))


Selection = Callable[[Trajectories], NDArray[np.int64]]
FIRST = "first"
SELECTIONS: dict[str, Selection] = {
    "halt": surest,
    "majority": majority,
    "confident_majority": confident_majority,
    FIRST: first,
}


def pick(values: NDArray, chosen: NDArray[np.int64]) -> NDArray:
    """Takes from values [K, ..., (more)] those of the chosen trajectories [...]."""
    index = chosen[None].reshape(1, *chosen.shape, *[1] * (values.ndim - chosen.ndim - 1))
    return np.take_along_axis(values, index, axis=0)[0]


def numbers_of(answers: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Hashes uint64 [...] of answers [..., S]: a sum of the cells with random weights, modulo 2^64.

    Two different answers have the same hash with probability 2^-56.
    """
    weights = random_words(derive_seed(0, "numbers of answers"), [0], answers.shape[-1])[0]
    return (answers.astype(np.uint64) * weights).sum(axis=-1, dtype=np.uint64)


def _most_frequent(paths: Trajectories, counted: NDArray[np.bool_]) -> NDArray[np.int64]:
    votes = np.zeros(counted.shape, np.int64)
    for answer, counts in zip(paths.answers, counted, strict=True):
        votes += counts & (paths.answers == answer)
    votes = np.where(counted, votes, -1)
    winners = votes == votes.max(axis=0)
    return np.argmax(np.where(winners, paths.halt_logits, -np.inf), axis=0)
