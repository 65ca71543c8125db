"""Which puzzles of a source are for training, for choosing checkpoints and for the final score."""

import numpy as np
from numpy.typing import NDArray

from trm_jax.core.errors import UserError
from trm_jax.core.randomness import derive_seed, random_permutations, random_words

Numbers = NDArray[np.int64]


def check_counts(source: str, train: int, heldout: int, test: int) -> None:
    """Refuses numbers of puzzles that make no sense, before anything is read or generated.

    Args:
        source: "generate", "hub" or the path of a file.
        train: training puzzles; 0 takes all that a file has left.
        heldout: puzzles kept aside for choosing checkpoints.
        test: puzzles kept aside for the final score.

    Raises:
        UserError: a negative number, none to generate, or a test set where the hub has its own.
    """
    for name, count in {"train": train, "heldout": heldout, "test": test}.items():
        if count < 0:
            raise UserError(f"{name} is {count}; give the number of puzzles, 0 or more.")
    if source == "generate" and not train:
        raise UserError("train is 0; say how many puzzles to generate.")
    if source == "hub" and test:
        raise UserError("test is not 0, but the hub has a test file; set it to 0 and use that.")


def choose(
    available: int, name: str, *, train: int, heldout: int, test: int, seed: int
) -> tuple[Numbers, dict[str, Numbers]]:
    """Chooses puzzles at random, as a pure function of the seed and the number there is.

    The held-out and test puzzles stay the same whatever `train` is, and a smaller training split
    is the beginning of a larger one.

    Args:
        available: how many puzzles the source has.
        name: the source, for an error.
        train: as in `check_counts`.
        heldout: as in `check_counts`.
        test: as in `check_counts`.
        seed: any integer.

    Returns:
        Which puzzles are kept, int64 [M], and of each split that is not empty which of the kept
        ones it has, int64 [m].

    Raises:
        UserError: fewer puzzles than asked for.
    """
    wanted = heldout + test + max(train, 1)
    if available < wanted:
        raise UserError(
            f"{name} has {available} puzzles, fewer than the {wanted} asked for "
            f"(train {max(train, 1)}, heldout {heldout}, test {test}); ask for fewer."
        )
    # Even generated puzzles are shuffled: where few kinds exist, the rare ones come late.
    words = random_words(derive_seed(seed, "choice of puzzles"), [0], available)
    order = random_permutations(words)[0]
    last = heldout + test + train if train else available
    pieces = np.split(np.arange(last), [heldout, heldout + test])
    splits = dict(zip(("heldout", "test", "train"), pieces, strict=True))
    return order[:last], {name: index for name, index in splits.items() if len(index)}
