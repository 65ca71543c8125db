"""The launcher as it is installed: part of a package, in no clone, under another name."""

import os
import shutil
import subprocess
import sys

import pytest

from launch import places
from launch.errors import LaunchError
from tests.launch.helpers import HEAD, ROOT, TPU

COMMIT = "a" * 40


@pytest.fixture
def installed(tmp_path):
    """Runs the launcher from a folder that is laid out as a wheel's files are.

    The folder is itself within some other checkout, as an environment often is.
    """
    site = tmp_path / "checkout" / "site"
    for name in ("launch", "experiments"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, site / "trm_jax" / name, ignore=ignored)
    (site / "trm_jax" / "__init__.py").touch()
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    for words in (["init"], ["add", "."], [*identity, "commit", "-m", "a"]):
        command = ["git", "-C", tmp_path / "checkout", *words]
        subprocess.run(command, check=True, capture_output=True)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(site)}

    def go(*words, python=(), path=""):
        done = subprocess.run(
            [sys.executable, *python, "-m", "trm_jax.launch", *words],
            cwd=elsewhere,
            env={**environment, "PATH": f"{path}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return done

    go.folder, go.site = elsewhere, site
    return go


def put(installed, text):
    (installed.folder / "job.yaml").write_text(text)


def test_the_help_names_the_command_that_was_typed(installed):
    assert installed("--help").stdout.startswith("usage: python -m trm_jax.launch ")
    done = subprocess.run(
        [sys.executable, "-m", "launch", "--help"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.stdout.startswith("usage: python -m launch ")


@pytest.mark.parametrize("name", places.ready_jobs())
def test_every_ready_job_is_found_by_its_name_and_rendered(installed, name):
    done = installed(f"{name}.yaml")
    assert done.returncode == 0 and "trm train" in done.stdout.replace("\n  - ", " ")
    assert installed("render", name).stdout == done.stdout


def test_the_commit_of_a_checkout_around_it_is_not_taken_for_its_own(installed):
    text = installed("local-two-processes").stdout
    assert "TRM_COMMIT" not in text
    assert "YOUR-COMMIT" in installed("tpu-v5e-16").stdout


def test_where_machines_clone_the_code_a_commit_has_to_be_given(installed):
    put(installed, HEAD + TPU)
    done = installed("submit", "job.yaml")
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "write it as `commit` under `code:`" in done.stderr
    text = installed("job.yaml", "--set", f"code.commit={COMMIT}").stdout
    assert "git -C" in text and COMMIT in text and "YOUR-COMMIT" not in text


def test_a_local_job_runs_and_says_that_no_commit_is_recorded(installed):
    folder = installed.folder / "bin"
    folder.mkdir()
    (folder / "trm").write_text('#!/bin/sh\necho "$@ ${TRM_COMMIT:-none}"\n')
    (folder / "trm").chmod(0o755)
    done = installed("submit", "local-two-processes", path=folder)
    assert done.returncode == 0 and "no commit is recorded" in done.stdout
    logs = installed.folder / "runs/launch/two-processes/local"
    text = (logs / "two-processes.process1.log").read_text()
    assert text == ("train --config experiments/sudoku.py:demo --workdir=runs/two-processes none\n")


@pytest.mark.parametrize("name", ["experiments/ablations.py", "ablations.py", "ablations"])
def test_sweeps_of_the_package_are_found(installed, name):
    done = installed("local-two-processes", "--sweep", f"{name}:table2", "--seeds", "1")
    assert done.returncode == 0 and done.stdout.count("# trm") == 3


def test_without_pyyaml_one_sentence_says_what_to_do(installed):
    done = installed("tpu-v5e-16", python=["-S"])
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "-m pip install pyyaml" in done.stderr


def test_the_users_own_files_come_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sky").mkdir()
    assert places.job_file("sky") == places.job_file("sky.yaml") == places.JOBS / "sky.yaml"
    (tmp_path / "sky.yaml").touch()
    assert str(places.job_file("sky")) == str(places.job_file("sky.yaml")) == "sky.yaml"
    assert places.sweep_file("ablations.py") == places.EXPERIMENTS / "ablations.py"
    (tmp_path / "ablations.py").touch()
    assert str(places.sweep_file("ablations.py")) == "ablations.py"


@pytest.mark.parametrize("name", ["nothing", "nothing.yaml", "folder/sky.yaml"])
def test_a_job_file_that_is_nowhere_lists_the_ready_ones(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LaunchError, match=f"no job file {name}; .*sky, slurm-gpus, tpu-v5e-16"):
        places.job_file(name)
