"""Which of the trajectories of a question gives its answer.

All arrays have the trajectories in front: [K, ...]. No rule here looks at labels or at the task's
rules.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from trm_jax.core.randomness import derive_seed, random_words


class Trajectories(NamedTuple):
    """What a selection may look at.

    Attributes:
      answers: uint64 [K, ...], a number for each answer, equal for equal ones; see `numbers_of`.
      halt_logits: float [K, ...]; -inf where a trajectory was not run to its end.
      believed: bool [K, ...], whether the halting rule was satisfied.
    """

    answers: NDArray[np.uint64]
    halt_logits: NDArray[np.floating]
    believed: NDArray[np.bool_]


def surest(paths: Trajectories) -> NDArray[np.int64]:
    """The largest halting logit ("best-Q@K" of PTRM, arXiv 2605.19943); int64 [...]."""
    return np.argmax(paths.halt_logits, axis=0)


def majority(paths: Trajectories) -> NDArray[np.int64]:
    """The most frequent whole answer ("mode@K" of PTRM); of equals the one that is surest."""
    return _most_frequent(paths, np.ones_like(paths.believed))


def believed_majority(paths: Trajectories) -> NDArray[np.int64]:
    """The same among believed ones ("Augmented HRM", arXiv 2601.10679), else among all."""
    counted = paths.believed | ~paths.believed.any(axis=0)
    return _most_frequent(paths, counted)


def first(paths: Trajectories) -> NDArray[np.int64]:
    """The believed one of the lowest number (after "halt-first", arXiv 2601.19085), else `surest`.

    There all chains run side by side and the quickest wins. Here they are tried in their order,
    so that the answer does not depend on what runs beside what.
    """
    believed = paths.believed
    return np.where(believed.any(axis=0), np.argmax(believed, axis=0), surest(paths))


Selection = Callable[[Trajectories], NDArray[np.int64]]
FIRST = "first"
SELECTIONS: dict[str, Selection] = {
    "halt": surest,
    "majority": majority,
    "believed_majority": believed_majority,
    FIRST: first,
}


def pick(values: NDArray, chosen: NDArray[np.int64]) -> NDArray:
    """Of values [K, ..., (more)] those at the chosen trajectories [...]."""
    index = chosen[None].reshape(1, *chosen.shape, *[1] * (values.ndim - chosen.ndim - 1))
    return np.take_along_axis(values, index, axis=0)[0]


def numbers_of(answers: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Numbers uint64 [...] for answers [..., S]; two different ones share one with odds of 2^-56.

    A weighted sum of the cells modulo 2^64, with random weights.
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
