"""Datasets that a config asks for, and what is refused before one is built."""

import json

import pytest

from tests import runs
from trm_jax.cli import main
from trm_jax.core.errors import UserError
from trm_jax.data.format import save
from trm_jax.tasks.sources import open_own_data, open_training_data, refuse_unused
from trm_jax.tasks.sudoku.build import build


@pytest.fixture(scope="module")
def ready(tmp_path_factory):
    """A dataset of 2x2 boxes."""
    folder = tmp_path_factory.mktemp("ready") / "data"
    save(build(box=(2, 2), source="generate", train=9, heldout=3, seed=5, extra_givens=4), folder)
    return folder


def config(path, **changes):
    return runs.experiment(data={"path": str(path), **changes}).data


def test_a_ready_data_set_of_another_form_is_refused(ready, tmp_path):
    cache = tmp_path / "data"
    assert open_training_data(config(ready), cache).manifest["box"] == [2, 2]
    other = config(ready, sudoku={"box": [3, 3]})
    words = rf"{ready} has puzzles of box \(2, 2\).*config.data.sudoku.box is \(3, 3\); set it"
    with pytest.raises(UserError, match=words):
        open_training_data(other, cache)
    assert open_own_data(other, cache).manifest["box"] == [2, 2]


def test_settings_that_nothing_would_come_of_are_refused(ready):
    same = config(ready, base_examples=9, seed=5, copies=3)
    refuse_unused(same, ["data.path", "data.base_examples", "data.seed", "data.copies", "steps"])
    refuse_unused(config(ready), ["data.path", "data.extra_givens", "data.sudoku.box"])
    refuse_unused(config("generate"), ["data.base_examples"])
    with pytest.raises(UserError, match="data.base_examples is 30, .* ready dataset, made with 9"):
        refuse_unused(config(ready), ["data.base_examples"])
    with pytest.raises(UserError, match="data.sudoku.extra_givens is 1"):
        refuse_unused(config(ready, sudoku={"extra_givens": 1}), ["data.extra_givens"])


@pytest.mark.parametrize("path", ["/nope", "nope.csv", "generat"])
def test_a_missing_source_is_named_before_all_else(tmp_path, path):
    with pytest.raises(UserError, match=f"config.data.path is '{path}', and there is no such file"):
        open_training_data(config(path), tmp_path / "data")


def test_an_empty_path_is_refused(tmp_path):
    with pytest.raises(UserError, match="config.data.path is empty; give"):
        open_training_data(config(""), tmp_path / "data")


@pytest.mark.parametrize("content", ["[]", '{"foo": 1}', "{", None])
def test_the_request_of_a_cache_is_named_when_it_is_damaged_or_missing(tmp_path, content):
    cache, request = tmp_path / "data", tmp_path / "data.json"
    open_training_data(config("generate"), cache)
    assert json.loads(request.read_text())["path"] == "generate"
    if content is None:
        request.unlink()
    else:
        request.write_text(content)
    with pytest.raises(UserError, match=f"{request} is (damaged|missing)"):
        open_training_data(config("generate"), cache)


@pytest.mark.parametrize(
    ("init_from", "words"),
    [
        ("/nope", "there is no such path"),
        ("{}", "is not a work directory"),
        ("{}/made", "has no checkpoint yet"),
    ],
)
def test_nothing_to_start_from_is_refused_before_data_are_built(tmp_path, capsys, init_from, words):
    made = tmp_path / "made"
    made.mkdir()
    data = {"task": "sudoku", "box": [2, 2], "vocab": 6, "cells": 16, "table_rows": 1}
    data |= {"fingerprint": "f", "source": {}, "counts": {}}
    record = {"config": runs.experiment().to_dict(), "data": data}
    (made / "config.json").write_text(json.dumps(record))
    start = init_from.format(tmp_path)
    arguments = ["--config=experiments/sudoku.py:demo", f"--config.init_from={start}"]
    assert main(["train", *arguments, f"--workdir={tmp_path / 'run'}"]) == 2
    error = capsys.readouterr().err
    assert f"config.init_from is '{start}'" in error and words in error
    assert not (tmp_path / "run").exists()
