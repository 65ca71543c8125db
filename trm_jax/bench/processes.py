"""Measuring in processes of their own: ours, one for each part, and a peer's."""

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
"""Of malloc; `trm` sets it by itself, and processes that it starts have it too."""


class Job(TypedDict):
    """What a worker is to do.

    Attributes:
      part: "train", "rollout", "input", "checkpoint" or "startup".
      experiment: as `Experiment.to_dict` gives it.
      repeats: timed calls.
      trace: where a trace of the program goes, None for no trace.
      scratch: where temporary files go, None for the system's place.
      started: when the process was, by `time.time`; `run_worker` fills it in.
      lock: file that says whose turn on the device it is (`turns`), None for nobody else's.
      compile_limit: seconds that compiling may take under that lock, 0 for any.
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
    """Does a job in a fresh process, with changes of the environment.

    Raises:
      UserError: it failed; what the process said of it goes to stderr if there is more to it.
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
      python: the interpreter.
      script: its path.
      flags: of the script.
      malloc: it has the settings of malloc that `trm` takes.

    Raises:
      UserError: it is not there, fails, lacks a package, or reports no `seconds`.
    """
    environment = {k: v for k, v in os.environ.items() if malloc or k != TUNABLES}
    try:
        done = _run([python, script, *flags], "", environment)
    except OSError as error:
        raise UserError(
            f"--peer-python {python} cannot be started ({error.strerror}); name a Python "
            "interpreter that has what the peer needs."
        ) from error
    if "No module named 'torch'" in done.stderr:
        raise UserError(
            f"--peer {script} needs PyTorch, which {python} lacks ({_last(done.stderr)}); "
            "install it there (pip install torch), or name another --peer-python."
        )
    report = _report(done)
    if report is None:
        raise UserError(f"--peer {script} failed {_how(done)}.")
    if not report.get("seconds"):
        raise UserError(
            f"--peer {script} reports no 'seconds' in its last line ({_last(done.stdout)}); "
            "it has to print a JSON object that has them."
        )
    return report


def _run(
    command: Sequence[str], text: str, environment: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    """Runs a process to its end; it may use the cores that this one may."""
    return subprocess.run(
        command, input=text, env=environment, capture_output=True, text=True, check=False
    )


def _report(done: subprocess.CompletedProcess[str]) -> dict[str, Any] | None:
    """The JSON object in the last line of a process's output, None if it has none or failed."""
    try:
        report = json.loads(_last(done.stdout))
    except ValueError:
        return None
    fine = isinstance(report, dict) and (done.returncode == 0 or "error" in report)
    return report if fine else None


def _how(done: subprocess.CompletedProcess[str]) -> str:
    """How a process ended, and its last line."""
    code = done.returncode
    how = f"killed by signal {-code}" if code < 0 else f"with exit code {code}"
    if code == -signal.SIGALRM:
        how = "compiling took longer than its limit"
    return f"({how}; its last line: {_last(done.stderr) or _last(done.stdout) or 'none'})"


def _last(text: str) -> str:
    """The last line that is not empty."""
    return (text.strip().splitlines() or [""])[-1].strip()
