"""Turns on one device, commands that end with their script, and results that outlive both."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from trm_jax.bench import children, turns
from trm_jax.bench.ledger import Ledger


def test_many_compile_at_once_and_one_is_timed(tmp_path):
    lock, seen, timing = str(tmp_path / "turns"), [], threading.Lock()
    all_there = threading.Barrier(3, timeout=20)

    def worker():
        with turns.compiling(lock):
            all_there.wait()
        with turns.alone(lock):
            assert timing.acquire(blocking=False), "two at a time"
            time.sleep(0.05)
            timing.release()
            seen.append(1)

    workers = [threading.Thread(target=worker) for _ in range(3)]
    for each in workers:
        each.start()
    for each in workers:
        each.join(20)
    assert len(seen) == 3


def test_nobody_is_timed_while_something_compiles(tmp_path):
    lock = str(tmp_path / "turns")
    with turns.compiling(lock), pytest.raises(InterruptedError), turns.alone(lock, lambda: True):
        pass
    late = turns.compiling(lock, given_up=lambda: True)
    with turns.alone(lock), pytest.raises(InterruptedError), late:
        pass
    with turns.alone(lock, lambda: True), turns.FREE.compiling(), turns.FREE.alone():
        pass


def test_a_compiler_that_takes_too_long_is_ended(tmp_path):
    program = f"""
        import time
        from trm_jax.bench import turns
        with turns.compiling({str(tmp_path / "turns")!r}, 60):
            pass
        with turns.compiling({str(tmp_path / "turns")!r}, 0.1):
            time.sleep(60)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], timeout=50)
    assert done.returncode == -signal.SIGALRM


def gone(pid):
    """Whether a process has ended; one that nobody has waited for counts as ended."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def wait_for(what, seconds=20):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux to end the command")
@pytest.mark.parametrize("farewell", [signal.SIGKILL, signal.SIGTERM])
def test_a_command_ends_with_its_script_even_by_sigkill(tmp_path, farewell):
    child = f"""
        import os, signal, sys, time
        def bye(*_):
            open({str(tmp_path / "saved")!r}, "w").close()
            sys.exit(42)
        signal.signal(signal.SIGTERM, bye)
        with open({str(tmp_path / "draft")!r}, "w") as file:
            file.write(str(os.getpid()))
        os.rename({str(tmp_path / "draft")!r}, {str(tmp_path / "pid")!r})
        time.sleep(60)
    """
    script = f"""
        import sys
        from pathlib import Path
        from trm_jax.bench.children import Children
        out, log = Path({str(tmp_path / "out")!r}), Path({str(tmp_path / "log")!r})
        command = [sys.executable, "-c", {textwrap.dedent(child)!r}]
        Children(out.parent).run(command, out, log, 60, farewell={int(farewell)})
    """
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)])
    wait_for((tmp_path / "pid").exists)
    pid = int((tmp_path / "pid").read_text())
    assert not gone(pid)
    process.kill()
    process.wait()
    wait_for(lambda: gone(pid))
    assert (tmp_path / "saved").exists() == (farewell == signal.SIGTERM)


def test_a_command_is_ended_at_its_limit_or_with_all_others(tmp_path):
    out, log, sleep = tmp_path / "out", tmp_path / "log", ["sleep", "60"]
    assert children.Children(tmp_path).run(sleep, out, log, 0.2) == -signal.SIGTERM
    assert log.read_text() == "$ sleep 60\n"
    codes = []
    with pytest.raises(KeyError), children.Children(tmp_path) as several:
        threads = [
            threading.Thread(target=lambda: codes.append(several.run(sleep, out, log, 60)))
            for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        wait_for(lambda: len(several._running) == 2)
        raise KeyError
    for thread in threads:
        thread.join(20)
    assert codes == [-signal.SIGTERM] * 2
    assert several.run(sleep, out, log, 60) == -signal.SIGTERM, "no other begins"


def test_a_command_that_is_not_there_is_a_sentence(tmp_path):
    out, log = tmp_path / "out", tmp_path / "log"
    assert children.Children(tmp_path).run(["/nowhere/python"], out, log, 20) == 1
    assert "/nowhere/python cannot be started (No such file" in log.read_text()
    assert children.Children(tmp_path).run(["echo", "to the log"], None, log, 20) == 0
    assert log.read_text().endswith("$ echo 'to the log'\nto the log\n")


def test_commands_hold_the_lock_of_a_script_that_is_gone(tmp_path):
    with open(tmp_path / "lock", "a") as lock:
        command = [sys.executable, "-c", f"import os; os.fstat({lock.fileno()})"]
        out, log = tmp_path / "out", tmp_path / "log"
        assert children.Children(tmp_path, [lock.fileno()]).run(command, out, log, 20) == 0


def test_a_ledger_goes_on_behind_a_torn_line(tmp_path):
    path = tmp_path / "results.jsonl"
    Ledger(path).add("a", {"seconds": 1})
    Ledger(path).add("a", {"seconds": 2})
    with path.open("a") as file:
        file.write('{"name": "b", "seco')
    ledger = Ledger(path)
    assert ledger.get("a")["seconds"] == 2 and ledger.get("b") is None
    ledger.add("c", {"failed": "no memory"})
    ledger.add("d", {"name": "other", "seconds": 4})
    again = Ledger(path)
    assert [each["name"] for each in again.all()] == ["a", "c", "d"]
    again.forget_failures()
    assert again.get("c") is None and Ledger(path).get("c")
    lines = path.read_text().splitlines()
    assert len(lines) == 5 and json.loads(lines[-1])["seconds"] == 4
    assert os.stat(path).st_size == len(path.read_bytes())
