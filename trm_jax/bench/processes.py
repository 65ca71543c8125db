"""Runs measurements in processes of their own: one per part, and those of a peer."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from trm_jax.bench.children import ended_with_us
from trm_jax.core.errors import UserError

WORKER = [
    sys.executable,
    *(["-P"] if sys.flags.safe_path else []),
    "-m",
    "trm_jax.bench.worker",
]
TUNABLES = "GLIBC_TUNABLES"
"""Variable with malloc's settings; `trm` sets it for itself and for the processes it starts."""


class Job(TypedDict):
    """A measurement for a worker.

    Attributes:
      part: "train", "rollout", "input", "checkpoint" or "startup".
      experiment: settings of the experiment, from `Experiment.to_dict`.
      repeats: number of timed calls.
      trace: folder for a trace of the program; None for no trace.
      scratch: folder for temporary files; None for the system's.
      started: time at which the process was started, by `time.time`; set by `run_worker`.
      lock: lock file with which processes take turns on the device (`turns`); None for no lock.
      compile_limit: seconds that compiling may take under that lock; 0 for no limit.
    """

    part: str
    experiment: dict[str, Any]
    repeats: int
    trace: str | None
    scratch: str | None
    started: float
    lock: str | None
    compile_limit: float


def run_worker(job: Job, environment: Mapping[str, str]) -> dict[str, Any]:
    """Runs a job in a new process.

    Args:
      job: the measurement.
      environment: changes of the environment.

    Returns:
      The worker's report.

    Raises:
      UserError: the job failed; if it has no error message of its own, its stderr is printed.
    """
    job["started"] = time.time()
    done = _run(ended_with_us(WORKER), json.dumps(job), {**os.environ, **environment})
    report = _report(done)
    if report is None:
        print(done.stderr, file=sys.stderr)
        raise UserError(f"Timing {job['part']} failed {_how(done)}.")
    if "error" in report:
        raise UserError(report["error"])
    return report


def run_peer(python: str, script: str, flags: Sequence[str], malloc: bool) -> dict[str, Any]:
    """Runs a peer's script and reads its report, the JSON object in its last line.

    Args:
      python: Python interpreter to run it with.
      script: path of the script.
      flags: flags for the script.
      malloc: whether it runs with the malloc settings that `trm` uses for itself.

    Raises:
      UserError: the script cannot be started, fails, lacks a package, or reports no `seconds`.
    """
    environment = {k: v for k, v in os.environ.items() if malloc or k != TUNABLES}
    try:
        done = _run([python, script, *flags], "", environment)
    except OSError as error:
        raise UserError(
            f"--peer_python {python} cannot be started ({error.strerror}); give a Python "
            "interpreter with the packages that the peer needs."
        ) from error
    if "No module named 'torch'" in done.stderr:
        raise UserError(
            f"--peer {script} needs PyTorch, which {python} lacks ({_last(done.stderr)}); "
            "install it there (pip install torch), or give another --peer_python."
        )
    report = _report(done)
    if report is None:
        raise UserError(f"--peer {script} failed {_how(done)}.")
    if not report.get("seconds"):
        raise UserError(
            f"--peer {script} reports no 'seconds' in its last line ({_last(done.stdout)}); "
            "it has to print a JSON object with 'seconds'."
        )
    return report


def _run(
    command: Sequence[str], text: str, environment: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    """Runs a process to its end, with this process's set of cores."""
    return subprocess.run(
        command, input=text, env=environment, capture_output=True, text=True, check=False
    )


def _report(done: subprocess.CompletedProcess[str]) -> dict[str, Any] | None:
    """The JSON object in the last line of a process's output; None if it failed or printed none."""
    try:
        report = json.loads(_last(done.stdout))
    except ValueError:
        return None
    fine = isinstance(report, dict) and (done.returncode == 0 or "error" in report)
    return report if fine else None


def _how(done: subprocess.CompletedProcess[str]) -> str:
    """A description of how a process ended, with its last line."""
    code = done.returncode
    how = f"killed by signal {-code}" if code < 0 else f"with exit code {code}"
    if code == -signal.SIGALRM:
        how = "compiling took longer than its limit"
    return f"({how}; its last line: {_last(done.stderr) or _last(done.stdout) or 'none'})"


def _last(text: str) -> str:
    """The last non-empty line of a text."""
    return (text.strip().splitlines() or [""])[-1].strip()
