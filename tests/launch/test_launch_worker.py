"""The script on each TPU worker, run for real with a small program in place of `trm`."""

import os
import signal
import subprocess
import time

import pytest

from launch import tpu
from tests.launch.helpers import HEAD, SOURCE, TPU, make

TRM = """#!/bin/bash
echo "started with $TRM_DISTRIBUTED $TRM_COMMIT ${HF_TOKEN:-none} $*"
trap 'exit 42' TERM
while [ -e "$TRM_HOME/stay" ]; do sleep 60 & wait; done
exit "$(cat "$TRM_HOME/code")"
"""


@pytest.fixture
def worker(tmp_path):
    home, trm = tmp_path / "home", tmp_path / "trm"
    for folder in (home, trm / "source", trm / "venv" / "bin"):
        folder.mkdir(parents=True)
    for name, text in {"trm": TRM, "gcloud": "#!/bin/sh\necho value-of-$5\n"}.items():
        path = trm / "venv" / "bin" / name
        path.write_text(text)
        path.chmod(0o755)
    (trm / "code").write_text("0")
    script = tmp_path / "worker.sh"
    script.write_text(tpu.render(make(tmp_path, HEAD + TPU, "secrets=[HF_TOKEN]"))["worker.sh"])

    def ask(verb, attempt=1, run="tiny"):
        done = subprocess.run(
            ["bash", script, verb, run, str(attempt)],
            env={**os.environ, "HOME": str(home), "TRM_HOME": str(trm)},
            capture_output=True,
            text=True,
            timeout=30,
        )
        assert done.returncode == 0, done.stderr
        (line,) = done.stdout.splitlines()
        word, _, *rest = line.split()
        assert word == "trm-worker"
        return " ".join(rest)

    ask.trm, ask.home = trm, home
    return ask


def ready(worker):
    (worker.trm / f"ready-{SOURCE.commit}").touch()


def until(worker, word, attempt=1):
    deadline = time.monotonic() + 10
    while (got := worker("state", attempt)) != word:
        assert time.monotonic() < deadline, got
        time.sleep(0.05)


def log(worker):
    return (worker.home / "trm-tiny" / "log.txt").read_text()


def test_it_says_how_the_setup_stands(worker):
    assert worker("state") == "preparing"
    (worker.trm / "failed").touch()
    assert worker("state") == "failed"
    (worker.trm / "failed").unlink()
    (worker.trm / "ready-of-another-commit").touch()
    assert worker("state") == "preparing"
    ready(worker)
    assert worker("state") == "waiting"


@pytest.mark.parametrize("code", [0, 2, 3, 42])
def test_a_run_ends_with_its_own_code(worker, code):
    ready(worker)
    (worker.trm / "code").write_text(str(code))
    assert worker("start") == "started"
    until(worker, f"ended {code}")
    text = log(worker)
    assert f"started with auto {SOURCE.commit} value-of---secret=HF_TOKEN" in text
    assert "train --config experiments/sudoku.py:demo --workdir=gs://bucket/runs/tiny" in text


def test_an_attempt_is_started_once_however_often_it_is_asked_for(worker):
    ready(worker)
    for _ in range(3):
        assert worker("start") == "started"
    until(worker, "ended 0")
    worker("start")
    assert log(worker).count("started with") == 1
    assert worker("state", 2) == "waiting"
    worker("start", 2)
    until(worker, "ended 0", 2)
    assert log(worker).count("started with") == 2


def test_stop_asks_the_run_to_checkpoint(worker):
    ready(worker)
    (worker.trm / "stay").touch()
    worker("start")
    assert worker("state") == "running"
    time.sleep(0.3)
    assert worker("stop") == "stopped"
    assert worker("state") == "ended 42"
    assert worker("stop") == "stopped"


def test_a_run_that_vanished_counts_as_killed(worker):
    ready(worker)
    (worker.trm / "stay").touch()
    worker("start")
    time.sleep(0.2)
    os.killpg(int((worker.home / "trm-tiny/tiny/1/group").read_text()), signal.SIGKILL)
    until(worker, "ended 137")
