"""Processes on this machine: started together, stopped together, restarted on exit code 42.

When a process fails, the others would wait for it, in a collective or in JAX's barrier at exit, so
the first failure stops the whole group.
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
    """Renders a script with the processes that `submit` starts and watches."""
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
        raise LaunchError(
            f"{missing[0]} is listed under `secrets:`, but not set in this shell; export it."
        )
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
    """Prints whether a launcher is running, and how runs ended."""
    desk.say("a launcher is running" if desk.held() else "no launcher is running")
    for key, value in desk.recall().items():
        desk.say(f"{key}: {value}")
    return 0


def logs(layout: Layout, desk: Desk) -> int:
    """Follows the log of process 0 of each run."""
    paths = [str(p) for run in layout.runs if (p := _log(desk.folder, run, 0)).exists()]
    if not paths:
        raise LaunchError(f"{desk.folder} has no logs; the job has not been started here.")
    return desk.show(["tail", "-n", "100", "-F", *paths])


def cancel(layout: Layout, desk: Desk) -> int:
    """Tells the launcher to stop its processes, which save a checkpoint first."""
    if not desk.held():
        desk.say("no launcher is running; nothing to cancel")
        return 0
    os.kill(int(desk.recall()["pid"]), signal.SIGTERM)
    desk.say("the processes save a checkpoint and stop")
    return 0


def delete(layout: Layout, desk: Desk) -> int:
    """Removes the launcher's folder of logs; the work directory is kept."""
    if desk.held():
        raise LaunchError("the job is still running; `cancel` it first.")
    shutil.rmtree(desk.folder, ignore_errors=True)
    desk.say(f"removed {desk.folder}; the work directory is untouched")
    return 0


class Supervisor:
    """Starts and watches a group of processes.

    Attributes:
      asked: whether a signal told the launcher to stop; then nothing is restarted.
    """

    def __init__(self, layout: Layout, desk: Desk) -> None:
        """Handles SIGTERM and SIGINT, so it has to be called in the main thread."""
        self.asked = False
        self._layout, self._desk, self._section = layout, desk, _section(layout)
        self._group: list[subprocess.Popen[bytes]] = []
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._forward)

    def attend(self, run: LaunchRun) -> int:
        """Runs one run to its end, including restarts, and returns its exit code."""
        restarts = 0
        while True:
            verdict = self._once(run)
            if verdict.next is not Next.AGAIN or self.asked:
                return verdict.code
            if restarts == self._layout.job.restarts:
                self._desk.say(f"{run.title}: all {restarts} restarts are used up")
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
            # a session of its own, so that Ctrl-C reaches only the launcher, which forwards it once
            return subprocess.Popen(
                [program, *run.command[1:]],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _watch(self) -> Verdict:
        """Waits until it is known what to do next; on a restart, slow processes get `grace`."""
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
        """Sends SIGTERM to the running processes, and later SIGKILL to the groups of all."""
        self._signal(signal.SIGTERM)
        deadline = time.monotonic() + min(self._section.grace, 10)
        while any(p.poll() is None for p in self._group) and time.monotonic() < deadline:
            time.sleep(TICK)
        for process in self._group:
            # children of a process are in its group and may outlive it
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
    """Finds a program on PATH, or beside the Python that runs the launcher.

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
