"""Processes on this machine: start them together, stop them together, start again on 42.

A process that raises leaves the others waiting for it, in a collective or in JAX's barrier at exit,
so at the first failure the whole group is stopped.
"""

import contextlib
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

from . import exits
from .desk import Desk
from .errors import DONE, RESTART, LaunchError
from .exits import Next, Verdict
from .hardware import Local
from .layout import LaunchRun, Layout

TICK = 0.1
PORT = "PORT"


def render(layout: Layout) -> dict[str, str]:
    """A script that says what `submit` starts; the launcher itself also watches the processes."""
    section = _section(layout)
    lines = ["#!/bin/bash", "# What `submit` starts; it also watches, stops and restarts them.", ""]
    for run in layout.runs:
        lines.append(f"# {run.title}: {section.processes} process(es), logs in runs/launch")
        for index in range(section.processes):
            variables = {**layout.environment(), **_variables(section, index, PORT)}
            words = [f"{key}={shlex.quote(value)}" for key, value in variables.items()]
            end = " &" if section.processes > 1 else ""
            lines.append(" \\\n    ".join(["env", *words, shlex.join(run.command)]) + end)
        lines.append("wait" if section.processes > 1 else "")
    return {"local.sh": "\n".join(lines).rstrip() + "\n"}


def submit(layout: Layout, desk: Desk) -> int:
    """Starts the runs one after the other, watches them, and returns the exit code."""
    missing = [name for name in layout.job.secrets if name not in os.environ]
    if missing:
        raise LaunchError(f"{missing[0]} is named under `secrets:` and is not set in this shell.")
    worst = DONE
    with desk.only_one():
        desk.write(render(layout))
        desk.remember(pid=os.getpid(), commit=layout.source.commit, dirty=layout.source.dirty)
        supervisor = Supervisor(layout, desk)
        for run in layout.runs:
            code = supervisor.attend(run)
            desk.say(f"{run.title}: {exits.sentence(code)}")
            desk.remember(**{f"code of {run.title}": code})
            worst = worst or code
            if supervisor.asked:
                break
    return worst


def status(layout: Layout, desk: Desk) -> int:
    """Says whether the launcher runs, and how runs ended."""
    desk.say("a launcher drives it" if desk.held() else "no launcher drives it")
    for key, value in desk.recall().items():
        desk.say(f"{key}: {value}")
    return 0


def logs(layout: Layout, desk: Desk) -> int:
    """Follows process 0 of each run."""
    paths = [str(p) for run in layout.runs if (p := _log(desk.folder, run, 0)).exists()]
    if not paths:
        raise LaunchError(f"{desk.folder} holds no logs; the job has not been started here.")
    return desk.show(["tail", "-n", "100", "-F", *paths])


def cancel(layout: Layout, desk: Desk) -> int:
    """Asks the launcher to stop its processes; they checkpoint first."""
    if not desk.held():
        desk.say("no launcher drives it; nothing to cancel")
        return 0
    os.kill(int(desk.recall()["pid"]), signal.SIGTERM)
    desk.say("asked to checkpoint and stop")
    return 0


def delete(layout: Layout, desk: Desk) -> int:
    """Removes the launcher's folder of logs; the work directory stays."""
    if desk.held():
        raise LaunchError("the job still runs; `cancel` it first.")
    shutil.rmtree(desk.folder, ignore_errors=True)
    desk.say(f"removed {desk.folder}; the work directory is untouched")
    return 0


class Supervisor:
    """Keeps one group of processes.

    Attributes:
      asked: a signal told the launcher to stop; then nothing is started again.
    """

    def __init__(self, layout: Layout, desk: Desk) -> None:
        """For the main thread: it takes SIGTERM and SIGINT over."""
        self.asked = False
        self._layout, self._desk, self._section = layout, desk, _section(layout)
        self._group: list[subprocess.Popen[bytes]] = []
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._forward)

    def attend(self, run: LaunchRun) -> int:
        """Runs one run to its end, restarts included, and returns its exit code."""
        restarts = 0
        while True:
            verdict = self._once(run)
            if verdict.next is not Next.AGAIN or self.asked:
                return verdict.code
            if restarts == self._layout.job.restarts:
                self._desk.say(f"{run.title}: no restart left of {restarts}")
                return verdict.code
            restarts += 1
            self._desk.say(f"{run.title}: restart {restarts} of {self._layout.job.restarts}")

    def _once(self, run: LaunchRun) -> Verdict:
        port = str(_free_port())
        try:
            for index in range(self._section.processes):
                if not self.asked:
                    self._group.append(self._start(run, index, port))
            return self._watch()
        finally:
            self._stop()
            self._group.clear()

    def _start(self, run: LaunchRun, index: int, port: str) -> subprocess.Popen[bytes]:
        program = find_program(run.command[0])
        environment = {**os.environ, **self._layout.environment()}
        environment |= _variables(self._section, index, port)
        path = _log(self._desk.folder, run, index)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._desk.say(f"{run.title}: process {index} starts, log {path}")
        with path.open("ab") as log:
            # A session of its own: Ctrl-C reaches the launcher, which forwards it once.
            return subprocess.Popen(
                [program, *run.command[1:]],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _watch(self) -> Verdict:
        """Waits until the group's fate is known; a process that lags behind gets the grace."""
        deadline = None
        while True:
            codes = [process.poll() for process in self._group]
            verdict = exits.judge(codes, peers_elsewhere=False)
            if verdict.next is not Next.WAIT:
                return verdict
            if RESTART in codes and deadline is None:
                deadline = time.monotonic() + self._section.grace
            if deadline is not None and time.monotonic() > deadline:
                return Verdict(Next.AGAIN, RESTART)
            time.sleep(TICK)

    def _stop(self) -> None:
        """SIGTERM to what still runs, and SIGKILL to what does not heed it."""
        self._signal(signal.SIGTERM)
        deadline = time.monotonic() + min(self._section.grace, 10)
        while any(p.poll() is None for p in self._group) and time.monotonic() < deadline:
            time.sleep(TICK)
        for process in self._group:
            # Whatever a process started itself is in its group and may outlive it.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _signal(self, number: int) -> None:
        for process in self._group:
            if process.poll() is None:
                os.killpg(process.pid, number)

    def _forward(self, number: int, _: FrameType | None) -> None:
        self.asked = True
        self._signal(signal.SIGTERM)


def find_program(name: str) -> str:
    """The program on PATH, or beside the Python that runs the launcher.

    Raises:
      LaunchError: it is in neither place.
    """
    beside = Path(sys.executable).parent / name
    found = shutil.which(name) or (str(beside) if beside.exists() else None)
    if found is None:
        raise LaunchError(f"`{name}` is not on PATH; activate the environment it is installed in.")
    return found


def _variables(section: Local, index: int, port: str) -> dict[str, str]:
    variables = {}
    if section.processes > 1:
        variables = {
            "TRM_COORDINATOR": f"127.0.0.1:{port}",
            "TRM_NUM_PROCESSES": str(section.processes),
            "TRM_PROCESS_ID": str(index),
        }
    if section.gpus_per_process:
        first = index * section.gpus_per_process
        gpus = range(first, first + section.gpus_per_process)
        variables["CUDA_VISIBLE_DEVICES"] = ",".join(map(str, gpus))
    return variables


def _section(layout: Layout) -> Local:
    assert layout.job.local is not None
    return layout.job.local


def _log(folder: Path, run: LaunchRun, index: int) -> Path:
    return folder / f"{run.name}.process{index}.log"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
