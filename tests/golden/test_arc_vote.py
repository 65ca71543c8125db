"""ARC's evaluation against the published evaluator's numbers: pass@K, and the submission.

Two differences are on purpose: an attempt that is no grid at all is a black cell here, as are the
attempts at a test that nobody predicted, which the published evaluator leaves out.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from trm_jax.tasks.arc.canvas import crop, originals
from trm_jax.tasks.arc.records import IDENTITY, Pair, read_grid
from trm_jax.tasks.arc.vote import BLACK_CELL, Votes, candidate, pass_at, submission

OWN = Path(__file__).parent / "data"
BLANK = 0


@pytest.fixture(scope="module")
def golden(request):
    path = Path(request.config.getoption("--goldens") or OWN) / "arc_vote.npz"
    if not path.exists():
        pytest.skip(f"there is no {path.name} among these goldens")
    with np.load(path) as file:
        arrays = {name: file[name] for name in file if name != "meta"}
        return arrays, json.loads(str(file["meta"]))


@pytest.fixture(scope="module")
def tests(golden):
    """For each task its tests, keyed by what they ask, with their answers."""
    return {
        name: [
            Pair(*(read_grid(pair[key], f"{name}, test") for key in ("input", "output")))
            for pair in task["test"]
        ]
        for name, task in golden[1]["test_puzzles"].items()
    }


def parse_row_name(name):
    """The task and the transform of a published row name, TASK or TASK|||tK|||PERMUTATION."""
    task, *parts = name.split("|||")
    if not parts:
        return task, IDENTITY
    symmetry, colours = parts
    return task, np.asarray([int(symmetry[1]), *map(int, colours[1:])], np.uint8)


@pytest.fixture(scope="module")
def rankings(golden, tests):
    arrays, meta = golden
    used = arrays["puzzle_identifiers"] != BLANK  # the others pad the last batch
    arrays = {name: array[used] for name, array in arrays.items()}
    names, transforms = zip(
        *(parse_row_name(meta["identifiers"][row]) for row in arrays["puzzle_identifiers"]),
        strict=True,
    )
    transforms = np.stack(transforms)
    asked, sizes = originals(arrays["inputs"], transforms)
    keys = [
        (name, candidate(crop(canvas, rows, columns)))
        for name, canvas, rows, columns in zip(
            names, asked, *map(np.ndarray.tolist, sizes), strict=True
        )
    ]
    votes = Votes()
    votes.add(keys, arrays["preds"], arrays["q_halt_logits"], transforms)
    return {
        (name, candidate(pair.input)): votes.ranking((name, candidate(pair.input)), "count")
        for name, pairs in tests.items()
        for pair in pairs
    }


def test_pass_at_k(golden, tests, rankings):
    answers = {
        name: [((name, candidate(pair.input)), candidate(pair.output)) for pair in pairs]
        for name, pairs in tests.items()
    }
    expected = golden[1]["expected"]
    tries = [int(key.partition("@")[2]) for key in expected]
    ours = pass_at(rankings, answers, tries)
    assert {f"ARC/{key}": value for key, value in ours.items()} == pytest.approx(
        expected, abs=1e-12
    )
    assert 0 < min(expected.values()) < 1, "a file that tells nothing"


def test_submission(golden, tests, rankings):
    keys = {name: [(name, candidate(p.input)) for p in pairs] for name, pairs in tests.items()}
    ours = submission(rankings, keys)
    for name, expected in golden[1]["submission"].items():
        predicted = [
            mine for mine, key in zip(ours[name], keys[name], strict=True) if rankings[key]
        ]
        theirs = [{k: grid or BLACK_CELL for k, grid in attempt.items()} for attempt in expected]
        assert predicted == theirs, name
    for name, attempts in ours.items():
        assert len(attempts) == len(tests[name])
        assert all(set(attempt) == {"attempt_1", "attempt_2"} for attempt in attempts)
