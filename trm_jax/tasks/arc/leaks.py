"""Tests whose answers a model has been trained on, found by what stands in the grids."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from trm_jax.core.errors import UserError
from trm_jax.tasks.arc.records import Grid, Pair

MOST_LEAKED = 0.1
"""A larger share of test tasks whose answers stand in the training examples is refused."""
TRAINED, TESTED = "trained_inputs", "test_inputs"
"""Under `source` in a manifest, which is no part of the fingerprint: hashes of the inputs of all
training pairs, and of the tests, eight hexadecimal digits each."""
_DIGITS = 8


def leaks(
    pairs: Sequence[Pair], names: Sequence[str], splits: dict[str, list[int]]
) -> dict[str, str]:
    """Tasks of which a test stands among the training pairs, and where.

    Args:
      pairs: of all tasks.
      names: of the task of each pair.
      splits: places of pairs by the name of the split.
    """
    trained = {_content(pairs[i]): names[i] for i in splits.get("train", ())}
    tests = [i for name in ("test", "heldout") for i in splits.get(name, ())]
    return {names[i]: trained[key] for i in tests if (key := _content(pairs[i])) in trained}


def refuse_leaks(found: Mapping[str, str], tested: int) -> None:
    """Refuses leaks that are too many for an accident, of which there are a few as published.

    Raises:
      UserError: names one.
    """
    if _too_many(len(found), tested):
        name, where = next(iter(found.items()))
        raise UserError(
            f"{len(found)} tasks, {name} among them, have tests that are trained on with their "
            f"answers (in {where}); leave out the subset that holds them."
        )


def contents(pairs: Sequence[Pair], splits: Mapping[str, Sequence[int]]) -> dict[str, str]:
    """What a manifest says of the grids that are trained on and scored; see `TRAINED`."""
    return {
        key: "".join(sorted({_hash(pairs[i].input) for i in splits.get(split, ())}))
        for key, split in ((TRAINED, "train"), (TESTED, "test"))
    }


def refuse_trained_tests(trained: Mapping[str, Any], scored: Mapping[str, Any]) -> None:
    """Refuses to score tests that a model was trained on, whatever files and subsets are called.

    Args:
      trained: manifest of the data that the model was trained on.
      scored: manifest of the data that it is to be scored on.

    Raises:
      UserError: a tenth of the tests, and more than one, stand in the training data.
    """
    seen, asked = (
        _hashes(manifest.get("source", {}).get(key, ""))
        for manifest, key in ((trained, TRAINED), (scored, TESTED))
    )
    both = len(seen & asked)
    if _too_many(both, len(asked)):
        raise UserError(
            f"{both} of the {len(asked)} tests that would be scored stand in the data that the "
            "model was trained on, with their answers (as ARC-AGI-1's do in ARC-AGI-2), so the "
            "score would mean nothing; score other tasks, or train on data without them."
        )


def refuse_overlap(trained: Iterable[str], test: str) -> None:
    """Refuses by their names to score ARC-AGI-1 where ARC-AGI-2, which holds it, is trained on.

    Raises:
      UserError: one of the `trained` subsets is of ARC-AGI-2, and `test` of ARC-AGI-1.
    """
    second = [name for name in trained if name in ("training2", "evaluation2")]
    if second and test in ("training", "evaluation"):
        raise UserError(
            f"{second[0]} (ARC-AGI-2) is trained on and {test} (ARC-AGI-1) would be scored, but "
            "most of ARC-AGI-1's tests stand in ARC-AGI-2 with their answers; "
            "score evaluation2, or train on ARC-AGI-1 alone."
        )


def _too_many(leaked: int, tested: int) -> bool:
    return leaked > max(1, MOST_LEAKED * tested)


def _content(pair: Pair) -> tuple[Any, ...]:
    grids = [grid for grid in pair if grid is not None]
    return tuple((grid.shape, grid.tobytes()) for grid in grids)


def _hash(grid: Grid) -> str:
    return hashlib.sha256(f"{grid.shape} ".encode() + grid.tobytes()).hexdigest()[:_DIGITS]


def _hashes(joined: object) -> set[str]:
    text = joined if isinstance(joined, str) else ""
    return {text[i : i + _DIGITS] for i in range(0, len(text), _DIGITS)}
