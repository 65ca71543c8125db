"""A run starts from a released model's weights."""

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
    with pytest.raises(UserError, match=r"config\.init_from sudoku-4x4-exact has another model"):
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


def test_a_bucket_is_not_reached_to_tell_that_it_is_no_name(monkeypatch):
    def reached(path):
        raise AssertionError(path)

    monkeypatch.setattr(stored.Path, "exists", reached)
    monkeypatch.setattr(stored.epath, "Path", reached)
    assert not stored.names_released("gs://bucket/run")
