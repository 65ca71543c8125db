"""Programs are kept from one start to the next, unless the user has decided otherwise."""

import os
import subprocess
import sys

import pytest

from tests import runs
from trm_jax.core import cache


@pytest.fixture
def environment(monkeypatch, tmp_path):
    for name in (cache.FOLDER, cache.ENABLED, "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return monkeypatch


def test_the_folder_is_the_users(environment, tmp_path):
    cache.keep_programs()
    assert os.environ[cache.FOLDER].startswith(str(tmp_path / "trm_jax"))


@pytest.mark.parametrize(("name", "value"), [(cache.FOLDER, "/else"), (cache.ENABLED, "false")])
def test_what_the_user_sets_stays(environment, name, value):
    environment.setenv(name, value)
    before = dict(os.environ)
    cache.keep_programs()
    assert dict(os.environ) == before


def test_without_a_home_nothing_is_kept(environment):
    def nowhere():
        raise RuntimeError

    environment.setattr(cache.Path, "home", nowhere)
    environment.setenv("XDG_CACHE_HOME", "relative")
    cache.keep_programs()
    assert cache.FOLDER not in os.environ


@pytest.mark.slow
def test_a_second_start_compiles_nothing(environment, tmp_path):
    """Every program that the second one asks for is there."""
    command = [sys.executable, "-m", "trm_jax", "train"]
    command += ["--config", "sudoku:demo", "--config.steps=1", "--config.eval_every=0"]
    command += ["--config.data.base_examples=20", "--config.data.heldout_examples=5"]
    environment.setenv("JAX_LOGGING_LEVEL", "DEBUG")
    said = []
    for number in range(2):
        workdir = ["--workdir", str(tmp_path / str(number))]
        done = subprocess.run([*command, *workdir], cwd=runs.ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        said.append(done.stderr)
    first, second = (text.count("PERSISTENT COMPILATION CACHE MISS") for text in said)
    assert first > 3 and second == 0
    assert "Persistent compilation cache hit" in said[1]
