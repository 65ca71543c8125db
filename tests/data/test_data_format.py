"""The dataset on disk: whole, verified, or refused."""

import json

import numpy as np
import pytest

from trm_jax.core.errors import UserError
from trm_jax.data.format import assemble, load, save


def example(offset=0, **changes):
    inputs = (np.arange(40, dtype=np.uint8).reshape(10, 4) + offset) % 6
    facts = {"task": "sudoku", "box": [2, 2], "vocab": 6, "table_rows": 1, "seed": 0, "source": {}}
    parts = {
        "inputs": inputs.astype(np.uint8),
        "labels": inputs[:, ::-1].astype(np.uint8),
        "ids": np.zeros(10, np.int32),
        "splits": {"train": np.arange(7), "heldout": np.asarray([8, 7])},
    }
    return assemble(**{**parts, "facts": facts, **changes})


def test_round_trip(tmp_path):
    dataset = example()
    save(dataset, tmp_path / "deep" / "set")
    again = load(tmp_path / "deep" / "set")
    assert again.manifest == dataset.manifest
    assert again.arrays().keys() == dataset.arrays().keys()
    for name, array in again.arrays().items():
        np.testing.assert_array_equal(array, dataset.arrays()[name])
        assert array.dtype == dataset.arrays()[name].dtype
    assert again.manifest["counts"] == {"train": 7, "heldout": 2}
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["set"]


def test_fingerprint_follows_contents_not_origin():
    one = example().manifest
    facts = {key: one[key] for key in ("task", "box", "vocab", "table_rows")}
    moved = example(facts={**facts, "seed": 9, "source": {"name": "x"}}).manifest
    assert moved["fingerprint"] == one["fingerprint"]
    assert example(offset=1).manifest["fingerprint"] != one["fingerprint"]
    other = example(facts={**facts, "seed": 0, "source": {}, "box": [1, 4]}).manifest
    assert other["fingerprint"] != one["fingerprint"]


def test_saving_again_is_harmless_but_nothing_else_is_overwritten(tmp_path):
    save(example(), tmp_path / "set")
    save(example(), tmp_path / "set")
    with pytest.raises(UserError, match="already holds"):
        save(example(offset=1), tmp_path / "set")
    assert load(tmp_path / "set").manifest == example().manifest
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep me")
    with pytest.raises(UserError, match="already holds"):
        save(example(), tmp_path / "mine")
    assert (tmp_path / "mine" / "notes.txt").read_text() == "keep me"
    (tmp_path / "empty").mkdir()
    save(example(), tmp_path / "empty")
    with pytest.raises(UserError, match="already holds"):
        save(example(), tmp_path / "mine" / "notes.txt")
    with pytest.raises(UserError, match="cannot be written"):
        save(example(), tmp_path / "mine" / "notes.txt" / "below")


def test_a_failed_save_leaves_nothing(tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise OSError("No space left on device")

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(UserError, match="No space left"):
        save(example(), tmp_path / "set")
    assert not list(tmp_path.iterdir())


def test_a_race_for_one_directory_is_won_by_equals(tmp_path, monkeypatch):
    import os

    rename = os.rename

    def late(source, target, other):
        monkeypatch.setattr(os, "rename", rename)
        save(other, target)
        rename(source, target)

    monkeypatch.setattr(os, "rename", lambda a, b: late(a, b, example()))
    save(example(), tmp_path / "same")
    monkeypatch.setattr(os, "rename", lambda a, b: late(a, b, example(offset=1)))
    with pytest.raises(UserError, match="already holds"):
        save(example(), tmp_path / "other")


@pytest.mark.parametrize("name", ["inputs", "labels", "ids", "split_train", "split_heldout"])
def test_each_array_is_verified(tmp_path, name):
    save(example(), tmp_path / "set")
    path = tmp_path / "set" / f"{name}.npy"
    good = path.read_bytes()
    for bad in (good[:-1] + bytes([good[-1] ^ 1]), good[:-1], b"", b"nonsense"):
        path.write_bytes(bad)
        with pytest.raises(UserError, match=f"{name}.npy"):
            load(tmp_path / "set")
    path.unlink()
    with pytest.raises(UserError, match=f"{name}.npy is missing"):
        load(tmp_path / "set")


def test_manifest_is_verified(tmp_path):
    with pytest.raises(UserError, match=r"manifest.json cannot be read"):
        load(tmp_path / "nowhere")
    save(example(), tmp_path / "set")
    path = tmp_path / "set" / "manifest.json"
    good = json.loads(path.read_text())
    for text in ("{", "[]", json.dumps({**good, "format_version": 2})):
        path.write_text(text)
        with pytest.raises(UserError, match=r"manifest.json"):
            load(tmp_path / "set")
    path.write_text(json.dumps({**good, "box": [4, 1]}))
    with pytest.raises(UserError, match="manifest.json was changed"):
        load(tmp_path / "set")
    for key in ("vocab", "sha256", "fingerprint", "counts"):
        path.write_text(json.dumps({k: v for k, v in good.items() if k != key}))
        with pytest.raises(UserError, match=f"'{key}'"):
            load(tmp_path / "set")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"inputs": np.full((10, 4), 6, np.uint8)}, "inputs.npy holds 6"),
        ({"labels": np.zeros((10, 5), np.uint8)}, "labels.npy is"),
        ({"labels": np.zeros((10, 4), np.int32)}, "labels.npy is"),
        ({"ids": np.ones(10, np.int32)}, "ids.npy holds"),
        ({"ids": np.zeros(9, np.int32)}, "inputs.npy is"),
        ({"splits": {"test": np.asarray([10])}}, "split_test.npy holds"),
        ({"splits": {"test": np.asarray([-1])}}, "split_test.npy holds"),
        ({"splits": {"test": np.arange(3, dtype=np.int32)}}, "split_test.npy is"),
        ({"splits": {"train": np.arange(3), "test": np.arange(2, 4)}}, "two splits"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(changes, message):
    with pytest.raises(UserError, match=message):
        example(**changes)
