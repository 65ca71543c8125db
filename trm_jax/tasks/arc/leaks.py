"""Detects tests whose answers were trained on, by the content of their grids."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from trm_jax.core.errors import UserError
from trm_jax.tasks.arc.records import Grid, Pair

MAX_LEAKED = 0.1
"""Max fraction of test tasks whose answers may be among the training pairs."""
TRAINED, TESTED = "trained_inputs", "test_inputs"
"""Keys of a manifest's `source`, which is not part of the fingerprint: hashes of the inputs of all
training pairs and of all tests, eight hexadecimal digits each."""
_DIGITS = 8


def leaks(
    pairs: Sequence[Pair], names: Sequence[str], splits: dict[str, list[int]]
) -> dict[str, str]:
    """Finds tasks of which a test is among the training pairs; returns where, by task.

    Args:
      pairs: pairs of all tasks.
      names: name of each pair's task.
      splits: indices of pairs by name of the split.
    """
    trained = {_content(pairs[i]): names[i] for i in splits.get("train", ())}
    tests = [i for name in ("test", "heldout") for i in splits.get(name, ())]
    return {names[i]: trained[key] for i in tests if (key := _content(pairs[i])) in trained}


def refuse_leaks(found: Mapping[str, str], tested: int) -> None:
    """Refuses more leaks than the few that the published data has.

    Raises:
      UserError: there are too many; the message names a task.
    """
    if _too_many(len(found), tested):
        name, where = next(iter(found.items()))
        raise UserError(
            f"{len(found)} tasks, {name} among them, have tests that are trained on with their "
            f"answers (in {where}); leave out the subset that contains them."
        )


def contents(pairs: Sequence[Pair], splits: Mapping[str, Sequence[int]]) -> dict[str, str]:
    """The manifest's hashes of the grids that are trained on and scored, see `TRAINED`."""
    return {
        key: "".join(sorted({_hash(pairs[i].input) for i in splits.get(split, ())}))
        for key, split in ((TRAINED, "train"), (TESTED, "test"))
    }


def refuse_trained_tests(trained: Mapping[str, Any], scored: Mapping[str, Any]) -> None:
    """Refuses to score tests that a model was trained on, whatever the names of files and subsets.

    Args:
      trained: manifest of the data that the model was trained on.
      scored: manifest of the data to score it on.

    Raises:
      UserError: more than a tenth of the tests, and more than one, are in the training data.
    """
    seen, asked = (
        _hashes(manifest.get("source", {}).get(key, ""))
        for manifest, key in ((trained, TRAINED), (scored, TESTED))
    )
    both = len(seen & asked)
    if _too_many(both, len(asked)):
        raise UserError(
            f"{both} of the {len(asked)} tests to score are in the data that the model was trained "
            "on, with their answers (as ARC-AGI-1's are in ARC-AGI-2), so the score would be "
            "invalid; score other tasks, or train on data without them."
        )


def refuse_overlap(trained: Iterable[str], test: str) -> None:
    """Refuses to train on ARC-AGI-2, which contains most of ARC-AGI-1, and score ARC-AGI-1.

    Raises:
      UserError: one of the `trained` subsets is of ARC-AGI-2, and `test` is of ARC-AGI-1.
    """
    second = [name for name in trained if name in ("training2", "evaluation2")]
    if second and test in ("training", "evaluation"):
        raise UserError(
            f"{second[0]} (ARC-AGI-2) is trained on and {test} (ARC-AGI-1) would be scored, but "
            "most of ARC-AGI-1's tests are in ARC-AGI-2 with their answers; "
            "score evaluation2, or train only on ARC-AGI-1."
        )


def _too_many(leaked: int, tested: int) -> bool:
    return leaked > max(1, MAX_LEAKED * tested)


def _content(pair: Pair) -> tuple[Any, ...]:
    grids = [grid for grid in pair if grid is not None]
    return tuple((grid.shape, grid.tobytes()) for grid in grids)


def _hash(grid: Grid) -> str:
    return hashlib.sha256(f"{grid.shape} ".encode() + grid.tobytes()).hexdigest()[:_DIGITS]


def _hashes(joined: object) -> set[str]:
    text = joined if isinstance(joined, str) else ""
    return {text[i : i + _DIGITS] for i in range(0, len(text), _DIGITS)}
