"""Jobs and layouts for the tests of launch/."""

import shutil
import sys
from pathlib import Path

from launch import job, layout
from launch.desk import Desk
from launch.source import Source

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
SOURCE = Source("0123456789abcdef0123456789abcdef01234567", dirty=False)
HEAD = 'name: tiny\ncommand: [train, --config, "experiments/sudoku.py:demo"]\n'
TPU = """
workdir: gs://bucket/runs/tiny
restarts: 2
code: {repository: "https://example.org/trm_jax.git"}
tpu: {accelerator: v5litepod-16, zone: us-west4-a, project: proj}
"""
SWEEP = [("T=1/seed0", {"model.T": 1, "seed": 0}), ("T=2/seed0", {"model.T": 2, "seed": 0})]


def load(folder, text, *changes):
    path = folder / "job.yaml"
    path.write_text(text)
    return job.load(path, changes)


def make(folder, text, *changes, sweep=()):
    return layout.make(load(folder, text, *changes), SOURCE, sweep)


def desk(folder, every=0.0):
    return Desk(folder / "desk", every)


def put_on_path(monkeypatch, folder, name, text):
    """A program that comes before any other of its name, so that no test reaches a real one."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(text)
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return path


def put_gcloud(monkeypatch, folder):
    bin_ = folder / "bin"
    bin_.mkdir()
    shutil.copy(HERE / "fake_gcloud.py", bin_ / "fake_gcloud.py")
    script = f'#!/bin/sh\nexec {sys.executable} -S -E {bin_}/fake_gcloud.py "$@"\n'
    put_on_path(monkeypatch, bin_, "gcloud", script)
    monkeypatch.setenv("FAKE_GCLOUD", str(folder))
