"""A config.json that was damaged or edited, and places where no work directory can be."""

import json
import math

import pytest

from tests import runs
from trm_jax.core.errors import UserError
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
        ({"foo": 1}, "config.foo is no setting"),
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
