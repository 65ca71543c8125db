"""Distributes the puzzles of a source over the splits train, heldout and test."""

import numpy as np
from numpy.typing import NDArray

from trm_jax.core.errors import UserError
from trm_jax.core.randomness import derive_seed, random_permutations, random_words

Numbers = NDArray[np.int64]

MAX_PUZZLES = 10**8
"""Max number of puzzles of a split."""


def check_counts(source: str, train: int, heldout: int, test: int) -> None:
    """Checks numbers of puzzles before anything is read or generated.

    Args:
        source: "generate", "hub" or the path of a file.
        train: number of training puzzles; 0 for all that are left in a file.
        heldout: number of puzzles held out for choosing checkpoints.
        test: number of puzzles set aside for the final score.

    Raises:
        UserError: a number that is negative or above `MAX_PUZZLES`, no puzzle to generate, or test
            puzzles from the hub, which has a test file.
    """
    for name, count in {"train": train, "heldout": heldout, "test": test}.items():
        if count < 0:
            raise UserError(f"{name} is {count}; give the number of puzzles, 0 or more.")
        if count > MAX_PUZZLES:
            raise UserError(f"{name} is {count:,}; at most {MAX_PUZZLES:,} puzzles are possible.")
    if source == "generate" and not train:
        raise UserError("train is 0; say how many puzzles to generate.")
    if source == "hub" and test:
        raise UserError("test is not 0, but the hub has a test file; set it to 0 and use that.")


def choose(
    available: int, name: str, *, train: int, heldout: int, test: int, seed: int
) -> tuple[Numbers, dict[str, Numbers]]:
    """Chooses puzzles at random, as a pure function of the seed and the number of puzzles.

    The held-out and test puzzles do not depend on `train`, and a smaller training split is the
    beginning of a larger one.

    Args:
        available: number of puzzles of the source.
        name: name of the source, for errors.
        train: as in `check_counts`.
        heldout: as in `check_counts`.
        test: as in `check_counts`.
        seed: any integer.

    Returns:
        The indices of the chosen puzzles, int64 [M], and for each non-empty split the indices of
        its puzzles among these, int64 [m].

    Raises:
        UserError: there are fewer puzzles than requested.
    """
    wanted = heldout + test + max(train, 1)
    if available < wanted:
        raise UserError(
            f"{name} has {available} puzzles, fewer than the {wanted} asked for "
            f"(train {max(train, 1)}, heldout {heldout}, test {test}); ask for fewer."
        )
    # generated puzzles are shuffled too: if few exist, the rare ones are generated last
    words = random_words(derive_seed(seed, "choice of puzzles"), [0], available)
    order = random_permutations(words)[0]
    last = heldout + test + train if train else available
    pieces = np.split(np.arange(last), [heldout, heldout + test])
    splits = dict(zip(("heldout", "test", "train"), pieces, strict=True))
    return order[:last], {name: index for name, index in splits.items() if len(index)}
