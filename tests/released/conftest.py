"""A small run, and a folder with its model released twice over; the package's own is not used."""

import json
import shutil

import pytest

from tests import runs
from trm_jax.released import cards, writing
from trm_jax.train.loop import train

COMMANDS = ("trm train --config=tiny",)
HARDWARE = "2 CPU cores"
SEARCHED = {
    "solved": 0.9,
    "other_solution": 0.0,
    "wrong": 0.0,
    "abstained": 0.1,
    "passes": 7.5,
    "rounds": 2.0,
}
SEARCHED |= {"limits": {"passes": 64, "chains": 4, "rounds": 8, "seconds": None, "seed": 0}}


def released(name, **changes):
    """What is to be said of a model."""
    return writing.Release(name=name, commands=COMMANDS, hardware=HARDWARE, **changes)


@pytest.fixture(scope="session")
def workdir(tmp_path_factory):
    """A run with two checkpoints, and evaluations of the last one, one of them by search."""
    path = tmp_path_factory.mktemp("released") / "tiny"
    assert train(runs.experiment(steps=8, eval_every=4), path) == 0
    (own,) = (path / "eval").glob("*checkpoint8*.json")
    record = json.loads(own.read_text())
    record |= {"data": "/far/away/puzzles.csv", "split": "test", "fingerprint": "f" * 64}
    record |= {"examples": 90, "exact_accuracy": 0.5, "chain_search": SEARCHED, "how": "searched"}
    own.with_name("puzzles-test.json").write_text(json.dumps(record))
    own.with_name("again.json").write_text(own.read_text())  # the same, twice
    del record["chain_search"]  # tries, of which a card says nothing
    own.with_name("puzzles-tries.json").write_text(json.dumps(record))
    return path


@pytest.fixture(scope="session")
def made(workdir, tmp_path_factory):
    """A folder with two models of one checkpoint."""
    folder = tmp_path_factory.mktemp("models")
    writing.add(workdir, released("sudoku-4x4-exact", dtype="float32", rank=2), folder, step=8)
    writing.add(workdir, released("sudoku-4x4-small", rank=1), folder, step=8)
    return folder


@pytest.fixture
def folder(made, tmp_path, monkeypatch):
    """A copy of it, in place of the package's; caches go elsewhere than the user's."""
    copy = tmp_path / "models"
    shutil.copytree(made, copy)
    monkeypatch.setattr(cards, "FOLDER", copy)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return copy
