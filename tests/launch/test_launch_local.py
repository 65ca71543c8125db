"""Processes on this machine: real ones, small and fast."""

import os
import signal
import subprocess
import sys
import time

import pytest

from tests.launch.helpers import ROOT

CHILD = """#!{python}
import os, signal, sys, time
index = int(os.environ.get("TRM_PROCESS_ID", "0"))
workdir = sys.argv[-1].partition("=")[2]
os.makedirs(workdir, exist_ok=True)
path = os.path.join(workdir, str(index))
start = len(open(path).read()) if os.path.exists(path) else 0
open(path, "a").write("x")
keys = ["TRM_COORDINATOR", "TRM_NUM_PROCESSES", "CUDA_VISIBLE_DEVICES", "TRM_COMMIT"]
print(index, *[os.environ.get(key, "-") for key in keys], flush=True)
def asked(*_):
    print("asked", flush=True)
    time.sleep(0.3)
    print("saved", flush=True)
    sys.exit(42)
signal.signal(signal.SIGTERM, asked)
words = sys.argv[2].split(",")[index].split(";")
word = words[min(start, len(words) - 1)]
if word == "deaf":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if word in ("hang", "deaf"):
    time.sleep(60)
sys.exit(int(word))
"""


@pytest.fixture
def start(tmp_path):
    """Starts a launcher whose processes do what is said for each of them: codes, hang, deaf."""
    program = tmp_path / "bin" / "trm"
    program.parent.mkdir()
    program.write_text(CHILD.format(python=sys.executable))
    program.chmod(0o755)
    launchers = []

    def go(does, processes=2, verb="submit", **section):
        section = {"processes": processes, "grace": 3} | section
        lines = ", ".join(f"{key}: {value}" for key, value in section.items())
        (tmp_path / "job.yaml").write_text(
            f'name: tiny\ncommand: [train, "{does}"]\nworkdir: {tmp_path}/work\nrestarts: 2\n'
            f"code: {{commit: '{'a' * 40}'}}\nlocal: {{{lines}}}\n"
        )
        path = f"{program.parent}:{os.environ['PATH']}"
        launchers.append(
            subprocess.Popen(
                [sys.executable, "-m", "launch", verb, "job.yaml"],
                cwd=tmp_path,
                env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
        return launchers[-1]

    yield go
    for launcher in launchers:
        if launcher.poll() is None:
            launcher.kill()
        launcher.wait()
        launcher.stdout.close()


def finished(launcher, seconds=20):
    out, _ = launcher.communicate(timeout=seconds)
    return launcher.returncode, out


def log(tmp_path, index):
    return (tmp_path / f"runs/launch/tiny/local/tiny.process{index}.log").read_text()


def starts(tmp_path, index):
    return len((tmp_path / "work" / str(index)).read_text())


def wait_for(condition, seconds=15):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_processes_are_told_of_each_other(start, tmp_path):
    code, _ = finished(start("0,0", gpus_per_process=4))
    assert code == 0
    words = [log(tmp_path, index).split() for index in (0, 1)]
    assert words[0][1] == words[1][1] and words[0][1].startswith("127.0.0.1:")
    assert [w[0] for w in words] == ["0", "1"] and {w[2] for w in words} == {"2"}
    assert [w[3] for w in words] == ["0,1,2,3", "4,5,6,7"]
    assert words[0][4] == "a" * 40


def test_one_process_needs_no_peers(start, tmp_path):
    assert finished(start("0", processes=1))[0] == 0
    assert log(tmp_path, 0).split()[1:3] == ["-", "-"]


def test_42_starts_both_again(start, tmp_path):
    code, out = finished(start("42;0,42;0"))
    assert code == 0 and "restart 1 of 2" in out
    assert [starts(tmp_path, index) for index in (0, 1)] == [2, 2]


def test_restarts_are_counted(start, tmp_path):
    code, out = finished(start("42,42"))
    assert code == 42 and "all 2 restarts are used up" in out
    assert starts(tmp_path, 0) == 3


@pytest.mark.parametrize("final", [1, 2, 3])
def test_a_failure_ends_the_process_that_hangs_and_is_not_started_again(start, tmp_path, final):
    before = time.monotonic()
    code, out = finished(start(f"hang,{final}"))
    assert code == final and time.monotonic() - before < 10
    assert starts(tmp_path, 0) == 1 and "restart" not in out
    assert "saved" in log(tmp_path, 0)


def test_a_process_that_is_killed_takes_the_other_with_it(start, tmp_path):
    launcher = start("hang,hang")
    wait_for(lambda: (tmp_path / "work" / "1").exists())
    time.sleep(0.3)
    children = subprocess.run(
        ["pgrep", "-P", str(launcher.pid)], capture_output=True, text=True
    ).stdout.split()
    assert len(children) == 2
    os.kill(int(children[0]), signal.SIGKILL)
    before = time.monotonic()
    code, _ = finished(launcher)
    assert code == 137 and time.monotonic() - before < 5
    for child in children:
        with pytest.raises(ProcessLookupError):
            os.kill(int(child), 0)


def test_a_process_that_does_not_heed_sigterm_is_killed(start):
    before = time.monotonic()
    assert finished(start("deaf,3", grace=2))[0] == 3
    assert 2 < time.monotonic() - before < 10


def test_a_straggler_after_42_gets_the_grace_and_then_the_restart_happens(start, tmp_path):
    code, _ = finished(start("42;0,deaf;0", grace=1))
    assert code == 0 and starts(tmp_path, 1) == 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_are_forwarded_once_and_nothing_is_started_again(start, tmp_path, number):
    launcher = start("hang,hang")
    wait_for(lambda: all((tmp_path / "work" / str(i)).exists() for i in (0, 1)))
    time.sleep(0.3)
    launcher.send_signal(number)
    assert finished(launcher)[0] == 42
    for index in (0, 1):
        assert log(tmp_path, index).count("asked") == log(tmp_path, index).count("saved") == 1
        assert starts(tmp_path, index) == 1


def test_cancel_and_status_and_delete_from_a_second_terminal(start, tmp_path):
    launcher = start("hang,hang")
    wait_for(lambda: all((tmp_path / "work" / str(i)).exists() for i in (0, 1)))
    time.sleep(0.3)
    assert "a launcher is running" in finished(start("hang,hang", verb="status"))[1]
    assert finished(start("hang,hang"))[0] == 2
    assert finished(start("hang,hang", verb="delete"))[0] == 2
    assert finished(start("hang,hang", verb="cancel"))[0] == 0
    assert finished(launcher)[0] == 42
    assert finished(start("hang,hang", verb="delete"))[0] == 0
    assert not (tmp_path / "runs/launch/tiny/local").exists() and (tmp_path / "work").exists()
