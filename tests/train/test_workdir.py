"""A config.json that was damaged or edited, and places where no work directory can be."""

import json
import math
import os

import pytest

from tests import runs
from trm_jax.cli import main
from trm_jax.core.errors import UserError
from trm_jax.train import logbook
from trm_jax.train.logbook import Logbook
from trm_jax.train.loop import train
from trm_jax.train.workdir import WorkDir

DATA = {"task": "sudoku", "box": [2, 2], "vocab": 6, "cells": 16, "table_rows": 1}
DATA |= {"fingerprint": "f", "source": {}, "counts": {}}


def refusal(folder, content):
    """What reading a work directory with this config.json says."""
    (folder / "config.json").write_text(
        content if isinstance(content, str) else json.dumps(content)
    )
    with pytest.raises(UserError) as error:
        WorkDir(folder).read()
    message = str(error.value)
    assert str(folder / "config.json") in message
    return message


def record(manifest=DATA, **changes):
    """A config.json; whole groups of settings take another's place."""
    return {"config": runs.experiment().to_dict() | changes, "data": manifest}


def without(key):
    return {name: value for name, value in DATA.items() if name != key}


@pytest.mark.parametrize(
    "content",
    [
        "{",
        [],
        None,
        {},
        {"config": [], "data": DATA},
        {"config": None, "data": DATA},
        {"config": {}},
        *({"config": {}, "data": data} for data in ([], None, {}, without("vocab"))),
        {"config": {}, "data": DATA | {"cells": "16"}},
        record(without("box")),
        record(DATA | {"task": "maze"}),
    ],
)
def test_a_damaged_record_is_refused(tmp_path, content):
    message = refusal(tmp_path, content)
    assert "is damaged" in message and "restore it, or train in a new directory" in message


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"foo": 1}, "config.foo is not a setting"),
        ({"model": {"width": "64"}}, "config.model.width is '64'"),
        ({"optimizer": {"lr": math.nan}}, "config.optimizer.lr is nan"),
        ({"data": {"task": "chess"}}, "chess"),
        ({"data": {"box": [2, 2], "sudoku": {"box": [3, 3]}}}, "config.data.box"),
        ({"plugins": "nope.py"}, "config.plugins is 'nope.py'"),
        ({"plugins": [3]}, "config.plugins is (3,)"),
    ],
)
def test_a_wrong_setting_is_told_with_its_file(tmp_path, changes, words):
    message = refusal(tmp_path, record(**changes))
    assert words in message and "--plugin=" not in message


def test_a_file_is_no_work_directory(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="file is a file"):
        WorkDir(tmp_path / "file")
    with pytest.raises(UserError, match="file is a file"):
        WorkDir(tmp_path / "file" / "run" / "seed0")


@pytest.mark.parametrize("depth", ["[" * 100_000, '{"a":' * 100_000])
def test_a_deep_record_is_refused(tmp_path, depth):
    assert "is damaged" in refusal(tmp_path, depth)


def shaped(tmp_path, kind):
    """A path of that kind where a work directory is asked for."""
    (tmp_path / "file").write_text("")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    return {
        "file": tmp_path / "file",
        "below a file": tmp_path / "file" / "run",
        "loop": tmp_path / "loop",
        "below a loop": tmp_path / "loop" / "run",
        "long": tmp_path / ("x" * 300),
        "very long": "/" + "x/" * 5000,
        "foo": "foo://bucket/run",
        "no bucket": "gs://",
        "empty": "",
        "blank": " ",
        "nobody": "~nobody-of-that-name/run",
        "zero": "a\0b",
    }[kind]


KINDS = ["file", "below a file", "loop", "below a loop", "long", "very long", "foo", "no bucket"]
KINDS += ["empty", "blank", "nobody", "zero"]


@pytest.mark.parametrize("kind", KINDS)
def test_places_where_no_work_directory_can_be(tmp_path, capsys, kind):
    path = shaped(tmp_path, kind)
    with pytest.raises(UserError) as error:
        WorkDir(path)
    assert "\n" not in str(error.value) and "give " in str(error.value)
    for command in ("eval", "train"):
        config = [f"--config={runs.ROOT}/experiments/sudoku.py:demo"] * (command == "train")
        assert main([command, *config, f"--workdir={path}"]) == 2
        assert capsys.readouterr().err.count("\n") == 1


def test_config_json_of_another_kind(tmp_path):
    (tmp_path / "config.json").mkdir()
    with pytest.raises(UserError, match="config.json is damaged: it cannot be read"):
        WorkDir(tmp_path).read()


@pytest.mark.parametrize("name", ["lock", "config.json", "metrics.jsonl"])
def test_links_are_not_followed_where_something_is_written(tmp_path, name):
    """What a link leads to keeps every byte; a lock that is one is refused."""
    mine, folder = tmp_path / "mine", tmp_path / "run"
    mine.write_text("thesis\n")
    folder.mkdir()
    (folder / name).symlink_to(mine)
    if name == "metrics.jsonl":
        book = Logbook(WorkDir(folder).metrics, resume_step=0, wandb_project="", name="x")
        book.write(1, {"loss": 1.0})
        book.close()
        assert [entry["step"] for entry in logbook.read(WorkDir(folder).metrics)] == [1]
    else:
        with pytest.raises(UserError, match=f"{name} .*(symbolic link|is damaged)"):
            train(runs.experiment(), str(folder))
    assert mine.read_text() == "thesis\n"


@pytest.mark.parametrize("make", [lambda p: p.mkdir(), lambda p: os.mkfifo(p)])
def test_a_lock_of_another_kind_is_refused(tmp_path, make):
    make(tmp_path / "lock")
    with (
        pytest.raises(UserError, match="lock cannot be written"),
        WorkDir(tmp_path).held(),
    ):
        pass


def test_a_lock_keeps_what_is_in_it(tmp_path):
    (tmp_path / "lock").write_text("mine")
    with WorkDir(tmp_path).held():
        assert (tmp_path / "lock").read_text() == "mine"


@pytest.mark.parametrize("name", ["checkpoints", "eval"])
def test_a_file_in_the_place_of_a_folder(tmp_path, name, capsys):
    (tmp_path / name).write_text("mine")
    workdir = WorkDir(tmp_path)
    assert not workdir.has_checkpoints()
    with pytest.raises(UserError, match=f"{name}.* cannot be written"):
        if name == "eval":
            record = {"steps_used": 1}
            workdir.write_evaluation(record, data="d", split="s", fingerprint="f", checkpoint=1)
        else:
            train(runs.experiment(), str(tmp_path))
    assert (tmp_path / name).read_text() == "mine"


@pytest.mark.parametrize("content", ["[]", "3", "null", '"x"', "{", "[" * 100_000, '{"task": []}'])
def test_a_damaged_request_of_the_data_is_refused(tmp_path, content):
    assert train(runs.experiment(steps=4), str(tmp_path)) == 0
    (tmp_path / "data.json").write_text(content)
    with pytest.raises(UserError, match=r"data.json is damaged .*remove it and the folder"):
        train(runs.experiment(steps=4), str(tmp_path))
