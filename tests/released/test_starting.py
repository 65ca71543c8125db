"""A run starts from a released model's weights."""

import os
from pathlib import Path

import jax
import numpy as np
import pytest

from tests import runs
from trm_jax.cli import main
from trm_jax.core.errors import UserError
from trm_jax.core.mesh import make_mesh
from trm_jax.released import stored
from trm_jax.released.stored import load_released, load_start
from trm_jax.train.loop import train
from trm_jax.train.trained import load


def test_a_run_starts_from_its_weights(folder, tmp_path, capsys):
    still = {"steps": 1, "eval_every": 0, "optimizer": {"lr": 1e-30, "weight_decay": 0.0}}
    experiment = runs.experiment(init_from="sudoku-4x4-exact", **still)
    assert train(experiment, tmp_path / "run", load_start) == 0
    assert "starting from checkpoint 8 of sudoku-4x4-exact" in capsys.readouterr().out
    have = load(tmp_path / "run", averaged=False).weights.params
    want = load_released("sudoku-4x4-exact").weights.params
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), have, want)


def test_another_network_is_refused(folder, tmp_path):
    experiment = runs.experiment(init_from="sudoku-4x4-exact", model={"width": 32})
    with pytest.raises(UserError, match=r"config\.init_from sudoku-4x4-exact is another model"):
        train(experiment, tmp_path / "run", load_start)
    assert not (tmp_path / "run").exists()


def test_a_path_takes_precedence_over_a_name(folder, workdir, tmp_path, monkeypatch):
    (tmp_path / "sudoku-4x4-exact").symlink_to(workdir)
    monkeypatch.chdir(tmp_path)
    assert load_start("sudoku-4x4-exact", mesh=make_mesh()).card is None


def test_damaged_weights_are_refused_before_data_are_built(folder, tmp_path, capsys):
    (folder / "sudoku-4x4-exact.npz").write_bytes(b"")
    arguments = ["--config=experiments/sudoku.py:demo", "--config.init_from=sudoku-4x4-exact"]
    assert main(["train", *arguments, f"--workdir={tmp_path / 'run'}"]) == 2
    assert "its SHA-256 differs" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:aa\n"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("/dev/zero", "it is a pipe or a device"),
        ("pipe", "it is a pipe or a device"),
        ("http://example.com/x.pt", "is not an address of a work directory"),
        ("gs://bucket/run", "cannot be reached (Please install gcsfs"),
        ("pointer.pt", "is a Git LFS pointer, not the file itself; give the file that `trm pack`"),
        ("weights.h5", "is binary"),
        ("empty", "is not a pack"),
        ("SUDOKU-4x4-exat ", "did you mean sudoku-4x4-exact?"),
    ],
)
def test_what_cannot_be_a_start_is_one_sentence(
    source, said, folder, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    Path("pointer.pt").write_bytes(LFS)
    Path("weights.h5").write_bytes(b"\x89HDF\r\n\x1a\n\0\0")
    Path("empty").touch()
    arguments = ["--config=experiments/sudoku.py:demo", f"--config.init_from={source}"]
    assert main(["train", *arguments, "--workdir=run"]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"trm: config.init_from is {source!r}: ") and said in error
    assert error.count("\n") == 1 and not Path("run").exists()


def test_a_bucket_is_not_reached_to_tell_that_it_is_no_name(monkeypatch):
    def reached(path):
        raise AssertionError(path)

    monkeypatch.setattr(stored.Path, "exists", reached)
    monkeypatch.setattr(stored.epath, "Path", reached)
    assert not stored.names_released("gs://bucket/run")
