"""Different puzzles from a stream of generated ones."""

import itertools
from collections.abc import Iterable, Iterator

import numpy as np

from trm_jax.core.errors import UserError
from trm_jax.tasks.task import Tokens

Pair = tuple[Tokens, Tokens]
"""A question and its answer, tokens uint8 [S] each."""


def first_of_each(named: Iterable[tuple[bytes, Pair]], patience: int) -> Iterator[Pair]:
    """Yields the first puzzle of each name.

    Args:
      named: puzzles with a name that equivalent ones share.
      patience: number of consecutive puzzles with known names after which the stream ends.
    """
    seen: set[bytes] = set()
    fruitless = 0
    for name, pair in named:
        fruitless = fruitless + 1 if name in seen else 0
        if fruitless > patience:
            return
        if not fruitless:
            seen.add(name)
            yield pair


def collect(
    pairs: Iterator[Pair], count: int, cells: int, what: str, remedy: str
) -> tuple[Tokens, Tokens]:
    """Takes puzzles from a stream.

    Args:
      pairs: different puzzles.
      count: number of puzzles to take.
      cells: number of tokens of a puzzle, S.
      what: what the puzzles are, for the error.
      remedy: what makes more puzzles possible, for the error.

    Returns:
      Questions and answers, uint8 [count, S] each.

    Raises:
      UserError: there are fewer puzzles, or the count is negative.
    """
    if count < 0:
        raise UserError(f"cannot generate {count} {what}; give 0 or more.")
    taken = list(itertools.islice(pairs, count))
    if len(taken) < count:
        raise UserError(
            f"only {len(taken)} different {what} were found, fewer than the {count} requested; "
            f"request fewer, or {remedy}."
        )
    both = np.asarray(taken, np.uint8).reshape(count, 2, cells)
    return both[:, 0].copy(), both[:, 1].copy()
