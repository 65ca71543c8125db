"""The command line, as a user calls it."""

import ast
import itertools
import os
import subprocess
import sys

import pytest

from launch import source
from launch.cli import main
from tests.launch.helpers import HEAD, ROOT, TPU

LOCAL = HEAD + "workdir: runs/x\nlocal: {}\n"


@pytest.fixture
def job_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write(text):
        path = tmp_path / "job.yaml"
        path.write_text(text)
        return str(path)

    return write


def test_render_is_the_default_and_touches_nothing(job_file, tmp_path, capsys):
    path = job_file(LOCAL)
    assert main([path]) == 0
    first = capsys.readouterr().out
    assert main(["render", path]) == 0
    assert capsys.readouterr().out == first
    assert "trm train --config experiments/sudoku.py:demo --workdir=runs/x" in first
    assert os.listdir(tmp_path) == ["job.yaml"]


def test_render_into_a_folder(job_file, tmp_path, capsys):
    assert main(["render", job_file(HEAD + TPU), "--out", "here"]) == 0
    found = {path.name for path in (tmp_path / "here").iterdir()}
    assert found == {"startup.sh", "worker.sh", "commands.sh"}
    assert os.access(tmp_path / "here" / "worker.sh", os.X_OK)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "choose with --engine, one of tpu, local"),
        (["--engine", "gke"], "has no section `gke:`; it has tpu, local"),
        (["--engine", "local", "--set", "locl=1"], "did you mean 'local'?"),
    ],
)
def test_mistakes_end_with_2_and_one_sentence(job_file, capsys, words, says):
    assert main([job_file(HEAD + TPU + "local: {}\n"), *words]) == 2
    error = capsys.readouterr().err
    assert error.startswith("launch: ") and error.count("\n") == 1 and says in error


@pytest.mark.parametrize("verb", ["submit", "status", "logs", "cancel", "delete"])
def test_placeholders_are_left_to_render(job_file, capsys, verb):
    path = job_file((ROOT / "launch/jobs/tpu-v5e-16.yaml").read_text())
    assert main([path]) == 0
    capsys.readouterr()
    assert main([verb, path]) == 2
    assert "YOUR-BUCKET" in capsys.readouterr().err


@pytest.mark.parametrize("missing", ["gcloud", "kubectl", "sbatch", "sky"])
def test_a_missing_program_is_one_sentence(job_file, capsys, monkeypatch, missing):
    monkeypatch.setenv("PATH", os.path.dirname(sys.executable) + ":/bin-is-empty")
    monkeypatch.setattr(source, "read", lambda _: source.Source("a" * 40, False))
    text = {
        "gcloud": HEAD + TPU,
        "kubectl": HEAD
        + "workdir: gs://b/x\ncode: {image: 'x/y:1'}\ngke: {accelerator: nvidia-l4, gpus: 1}\n",
        "sbatch": HEAD
        + "workdir: /x\nslurm: {nodes: 1, tasks_per_node: 1, time: '5', directory: /}\n",
        "sky": HEAD + "workdir: gs://b/x\ncode: {repository: 'x'}\nsky: {accelerators: 'L4:1'}\n",
    }[missing]
    assert main(["submit", job_file(text)]) == 2
    assert "not on PATH" in capsys.readouterr().err


def test_a_dirty_tree_is_not_what_the_machines_would_get(job_file, capsys, monkeypatch):
    monkeypatch.setattr(source, "read", lambda _: source.Source("a" * 40, True))
    path = job_file(HEAD + TPU)
    assert main(["submit", path]) == 2
    assert "--allow-dirty" in capsys.readouterr().err
    assert main([path]) == 0
    assert "trm-dirty=true" in capsys.readouterr().out


def test_the_commit_is_this_checkouts_own_and_a_change_makes_it_dirty(tmp_path):
    def git(*words):
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        subprocess.run(["git", "-C", tmp_path, *identity, *words], check=True, capture_output=True)

    git("init")
    (tmp_path / "a").write_text("1")
    git("add", "a")
    git("commit", "-m", "a")
    first = source.read(tmp_path)
    assert len(first.commit) == 40 and not first.dirty
    (tmp_path / "a").write_text("2")
    assert source.read(tmp_path) == source.Source(first.commit, True)
    (tmp_path / "b").mkdir()
    assert source.read(tmp_path / "b") == source.UNKNOWN
    with pytest.raises(Exception, match="40 hexadecimal"):
        source.of(tmp_path, "main")


def test_the_module_runs_and_explains_itself():
    done = subprocess.run(
        [sys.executable, "-m", "launch", "--help"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0
    for verb in ("render", "submit", "status", "logs", "cancel", "delete"):
        assert verb in done.stdout


def test_only_the_standard_library_and_yaml_are_imported():
    allowed = {*sys.stdlib_module_names, "yaml"}
    for path in (ROOT / "launch").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            found = []
            if isinstance(node, ast.Import):
                found = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                # `.` is the launcher, whichever name it was imported by; `..` would be trm_jax.
                assert node.level <= 1, path
                found = [] if node.level else [node.module]
            assert {name.split(".")[0] for name in found} <= allowed, path


@pytest.mark.parametrize(
    "path", sorted((ROOT / "launch/jobs").glob("*.yaml")), ids=lambda p: p.stem
)
def test_every_ready_job_has_a_dry_run(path, capsys):
    assert main([str(path)]) == 0
    words = capsys.readouterr().out.replace("(", " ").replace(" - ", " ").split()
    assert ("trm", "train") in itertools.pairwise(words)
