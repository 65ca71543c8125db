"""The layout of a job: its code and its runs, a single one or those of a sweep."""

import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import documents, names, places, private
from .errors import LaunchError
from .job import Job
from .patterns import shown
from .source import Source

TITLE = re.compile(r"[A-Za-z0-9._=-]+(/[A-Za-z0-9._=-]+)*")
SETTING = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")


@dataclass(frozen=True)
class LaunchRun:
    """One training run.

    Attributes:
      name: name that is valid for all engines.
      title: name in the sweep.
      command: the full command, `trm train ... --workdir=...`.
    """

    name: str
    title: str
    command: tuple[str, ...]


@dataclass(frozen=True)
class Layout:
    """A job with its code and runs, which an engine renders and submits."""

    job: Job
    source: Source
    runs: tuple[LaunchRun, ...]

    @property
    def name(self) -> str:
        """Name of the job, valid for all engines."""
        return self.job.name

    def environment(self) -> dict[str, str]:
        """Environment variables that all engines set: the job's, and the commit if it is known."""
        code = {"TRM_COMMIT": self.source.commit, "TRM_DIRTY": str(int(self.source.dirty))}
        return {**self.job.environment, **(code if self.source.commit else {})}

    def labels(self) -> dict[str, str]:
        """Labels for cloud resources."""
        dirty = str(self.source.dirty).lower()
        code = {"trm-commit": self.source.commit[:12], "trm-dirty": dirty}
        return {"trm-job": names.label(self.name), **(code if self.source.commit else {})}


def make(job: Job, source: Source, sweep: Sequence[tuple[str, dict[str, Any]]] = ()) -> Layout:
    """Makes the layout of a job.

    A run of a sweep has the work directory WORKDIR/NAME, as with `trm sweep`.

    Args:
      job: the job.
      source: commit of the code.
      sweep: names and overrides of a sweep's runs; empty for a single run.
    """
    if not sweep:
        return Layout(job, source, (LaunchRun(job.name, job.name, _command(job, job.workdir, {})),))
    runs = tuple(
        LaunchRun(
            names.safe(f"{job.name}-{title}"),
            title,
            _command(job, f"{job.workdir.rstrip('/')}/{title}", overrides),
        )
        for title, overrides in sweep
    )
    return Layout(job, source, runs)


def _command(job: Job, workdir: str, overrides: dict[str, Any]) -> tuple[str, ...]:
    settings = {f"--config.{key}": _text(value) for key, value in overrides.items()}
    twice = settings.keys() & {word.partition("=")[0] for word in job.command}
    if twice:
        raise LaunchError(
            f"both the command and the sweep set {min(twice)}; remove it from the command."
        )
    words = [f"{key}={text}" for key, text in settings.items()]
    private.check_text("--sweep", words)
    return ("trm", *job.command, *words, f"--workdir={workdir}")


def _text(value: Any) -> str:
    # JSON's lists are tuples in configs, and flags are written as tuples
    return str(tuple(value) if isinstance(value, list) else value)


def read_sweep(spec: str, seeds: int) -> list[tuple[str, dict[str, Any]]]:
    """Reads the runs of a sweep.

    Args:
      spec: FILE.py[:NAME], read by experiments/sweep.py, or a JSON file with a list of runs. A
        FILE.py that does not exist is looked for in the launcher's experiments/.
      seeds: number of seeds per variant, for a FILE.py.

    Returns:
      Names and overrides of the runs.

    Raises:
      LaunchError: the sweep cannot be read, or is not a list of runs.
    """
    if spec.endswith(".json"):
        text = documents.read_text(Path(spec), f"--sweep {spec}")
    else:
        file, colon, name = spec.partition(":")
        builder = places.EXPERIMENTS / "sweep.py"
        meant = f"{places.sweep_file(file)}{colon}{name}"
        command = [sys.executable, str(builder), meant, "--seeds", str(seeds)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            words = done.stderr.strip().splitlines() or ["it printed nothing"]
            raise LaunchError(f"--sweep {spec} cannot be read: {words[-1]}")
        text = done.stdout
    found = documents.parse_json(text, f"--sweep {spec}")
    if not isinstance(found, list) or not found:
        raise LaunchError(f"--sweep {spec} must be a non-empty JSON list of [name, settings].")
    for entry in found:
        _check_entry(f"--sweep {spec}", entry)
    runs = [(name, overrides) for name, overrides in found]
    titles = [title for title, _ in runs]
    for one in titles:
        if titles.count(one) > 1 or any(other.startswith(f"{one}/") for other in titles):
            raise LaunchError(
                f"--sweep {spec}: run {one!r} shares its work directory with another; rename one."
            )
    return runs


def _check_entry(where: str, entry: Any) -> None:
    """Refuses invalid entries of a sweep; the rules for names are those of `trm sweep`."""
    match entry:
        case [str(title), dict(overrides)]:
            pass
        case _:
            raise LaunchError(f"{where} must be a JSON list of [name, settings].")
    if len(title) > 200 or not TITLE.fullmatch(title) or {".", ".."} & set(title.split("/")):
        raise LaunchError(
            f"{where}: {shown(title)} cannot be a directory's name; use letters, digits, '.', '_', "
            "'-', '=' and single '/' between them."
        )
    for key, value in overrides.items():
        if not SETTING.fullmatch(key):
            raise LaunchError(f"{where}: {shown(key)} is not a dotted name of a setting.")
        if isinstance(value, dict) or value is None:
            raise LaunchError(f"{where}: {key} must be a number, a text, true, false or a list.")
        if isinstance(value, int) and abs(value) > 2**63:
            raise LaunchError(f"{where}: {key} must be at most 2^63 in magnitude.")
        private.check_text(where, [f"--config.{key}={_text(value)}"])
