"""A job laid out: the code it runs, and its runs, which are one or those of a sweep."""

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
      name: safe for every engine.
      title: the name as the sweep has it.
      command: the whole command, `trm train ... --workdir=...`.
    """

    name: str
    title: str
    command: tuple[str, ...]


@dataclass(frozen=True)
class Layout:
    """What an engine renders and drives."""

    job: Job
    source: Source
    runs: tuple[LaunchRun, ...]

    @property
    def name(self) -> str:
        """The job's name, which is safe."""
        return self.job.name

    def environment(self) -> dict[str, str]:
        """Variables that every engine sets: the job's, and which code it is, if that is known."""
        code = {"TRM_COMMIT": self.source.commit, "TRM_DIRTY": str(int(self.source.dirty))}
        return {**self.job.environment, **(code if self.source.commit else {})}

    def labels(self) -> dict[str, str]:
        """Labels for the resources of a cloud."""
        dirty = str(self.source.dirty).lower()
        code = {"trm-commit": self.source.commit[:12], "trm-dirty": dirty}
        return {"trm-job": names.label(self.name), **(code if self.source.commit else {})}


def make(job: Job, source: Source, sweep: Sequence[tuple[str, dict[str, Any]]] = ()) -> Layout:
    """Lays out the runs.

    A run of a sweep has the work directory WORKDIR/NAME, as `trm sweep` lays them out too.

    Args:
      job: the job.
      source: which code.
      sweep: names and overrides, or nothing for one run.
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

    A FILE.py that is not there is looked for in the launcher's own experiments/.

    Raises:
      LaunchError: it cannot be read, or holds something else.
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
            raise LaunchError(f"--sweep {spec} gives no sweep: {words[-1]}")
        text = done.stdout
    found = documents.parse_json(text, f"--sweep {spec}")
    if not isinstance(found, list) or not found:
        raise LaunchError(f"--sweep {spec} must hold a JSON list of [name, settings], not empty.")
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
    """Refuses what is no run of a sweep; names are what `trm sweep` takes."""
    match entry:
        case [str(title), dict(overrides)]:
            pass
        case _:
            raise LaunchError(f"{where} must hold a JSON list of [name, settings].")
    if len(title) > 200 or not TITLE.fullmatch(title) or {".", ".."} & set(title.split("/")):
        raise LaunchError(
            f"{where}: {shown(title)} names no directory; use letters, digits, '.', '_', '-', '=' "
            "and single '/' between them."
        )
    for key, value in overrides.items():
        if not SETTING.fullmatch(key):
            raise LaunchError(f"{where}: {shown(key)} is no dotted name of a setting.")
        if isinstance(value, dict) or value is None:
            raise LaunchError(f"{where}: {key} must be a number, a text, true, false or a list.")
        if isinstance(value, int) and abs(value) > 2**63:
            raise LaunchError(f"{where}: {key} is out of all proportion.")
        private.check_text(where, [f"--config.{key}={_text(value)}"])
