"""A job, the code it runs, and its runs: one, or those of a sweep."""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from launch import names, private
from launch.errors import LaunchError
from launch.job import Job
from launch.source import Source

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Run:
    """One training run.

    Attributes:
      name: safe for every engine.
      title: the name as the sweep has it.
      command: the whole command, `trm train ... --workdir=...`.
    """

    name: str
    title: str
    command: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """What an engine renders and drives."""

    job: Job
    source: Source
    runs: tuple[Run, ...]

    @property
    def name(self) -> str:
        """The job's name, which is safe."""
        return self.job.name

    def environment(self) -> dict[str, str]:
        """Variables that every engine sets: the job's, and which code it is."""
        return {
            **self.job.environment,
            "TRM_COMMIT": self.source.commit,
            "TRM_DIRTY": str(int(self.source.dirty)),
        }

    def labels(self) -> dict[str, str]:
        """Labels for the resources of a cloud."""
        return {
            "trm-job": names.label(self.name),
            "trm-commit": self.source.commit[:12],
            "trm-dirty": str(self.source.dirty).lower(),
        }


def make(job: Job, source: Source, sweep: Sequence[tuple[str, dict[str, Any]]] = ()) -> Plan:
    """Lays out the runs.

    A run of a sweep has the work directory WORKDIR/NAME, as `trm sweep` lays them out too.

    Args:
      job: the job.
      source: which code.
      sweep: names and overrides, or nothing for one run.
    """
    if not sweep:
        return Plan(job, source, (Run(job.name, job.name, _command(job, job.workdir, {})),))
    runs = tuple(
        Run(
            names.safe(f"{job.name}-{title}"),
            title,
            _command(job, f"{job.workdir.rstrip('/')}/{title}", overrides),
        )
        for title, overrides in sweep
    )
    return Plan(job, source, runs)


def _command(job: Job, workdir: str, overrides: dict[str, Any]) -> tuple[str, ...]:
    settings = {f"--config.{key}": _text(value) for key, value in overrides.items()}
    twice = settings.keys() & {word.partition("=")[0] for word in job.command}
    if twice:
        raise LaunchError(
            f"command sets {min(twice)}, and so does the sweep; leave it to the sweep."
        )
    words = [f"{key}={text}" for key, text in settings.items()]
    private.check_text("--sweep", words)
    return ("trm", *job.command, *words, f"--workdir={workdir}")


def _text(value: Any) -> str:
    # JSON has lists where configs have tuples, which is also how their flags are written.
    return str(tuple(value) if isinstance(value, list) else value)


def read_sweep(spec: str, seeds: int) -> list[tuple[str, dict[str, Any]]]:
    """The runs of a sweep: FILE.py[:NAME], read by experiments/sweep.py, or a JSON file of them.

    Raises:
      LaunchError: it cannot be read, or holds something else.
    """
    if spec.endswith(".json"):
        try:
            text = Path(spec).read_text()
        except OSError as error:
            raise LaunchError(f"--sweep {spec} cannot be read: {error.strerror}.") from error
    else:
        builder = ROOT / "experiments" / "sweep.py"
        command = [sys.executable, str(builder), spec, "--seeds", str(seeds)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            words = done.stderr.strip().splitlines() or ["it printed nothing"]
            raise LaunchError(f"--sweep {spec} gives no sweep: {words[-1]}")
        text = done.stdout
    try:
        runs = [(str(name), dict(overrides)) for name, overrides in json.loads(text)]
    except (ValueError, TypeError) as error:
        raise LaunchError(f"--sweep {spec} must hold a JSON list of [name, settings].") from error
    if not runs:
        raise LaunchError(f"--sweep {spec} has no runs.")
    return runs
