"""The runs of a sweep, and the commands that each of them still needs."""

import dataclasses
import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orbax.checkpoint as ocp
from etils import epath

from trm_jax.config.dotted import known_names, with_overrides
from trm_jax.config.experiment import Experiment, from_dict
from trm_jax.config.locate import experiments, find
from trm_jax.core.errors import UserError
from trm_jax.core.files import write_whole
from trm_jax.core.settings import shown
from trm_jax.train.workdir import WorkDir

EXPANDER = "sweep.py"
SEED = re.compile(r"/seed\d+$")
NAME = re.compile(r"[A-Za-z0-9._=-]+(/[A-Za-z0-9._=-]+)*")
# like the console script, `trm sweep` keeps the current folder off its children's import path
TRM = (sys.executable, *(["-P"] if sys.flags.safe_path else []), "-m", "trm_jax")

Entries = list[tuple[str, dict[str, Any]]]


@dataclasses.dataclass(frozen=True)
class Base:
    """The config that all runs of a sweep start from.

    Attributes:
      file: config file, with :variant.
      overrides: settings of the command line, by dotted name.
      config: the resulting config, as nested plain data.
    """

    file: str
    overrides: Mapping[str, Any]
    config: Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class SweepRun:
    """One run of a sweep.

    Attributes:
      name: name of the run, and of its directory in the sweep's.
      workdir: work directory of the run.
      experiment: experiment of the run.
      train: command that trains it.
    """

    name: str
    workdir: WorkDir
    experiment: Experiment
    train: tuple[str, ...]

    def latest(self) -> int:
        """Training step of the newest complete checkpoint, 0 without any; needs no device."""
        return max(ocp.utils.checkpoint_steps(self.workdir.checkpoints), default=0)

    def needs(self) -> tuple[str, ...] | None:
        """The next command: training, then evaluation of the last checkpoint, then None."""
        latest = self.latest()
        if latest < self.experiment.steps:
            return self.train
        _, manifest = self.workdir.read()
        scored = any(self.workdir.evaluations.glob(f"*-heldout-checkpoint{latest}-*.json"))
        if scored or not manifest["counts"].get("heldout"):
            return None
        where = f"--workdir={self.workdir.root}"
        return (*TRM, "eval", where, f"--checkpoint={latest}", *_plugins(self.experiment))


def _plugins(experiment: Experiment) -> list[str]:
    """The flags that load an experiment's plugins."""
    return [f"--plugin={plugin}" for plugin in experiment.plugins]


def read_entries(source: str, seeds: int | None) -> Entries:
    """Reads the (name, overrides) pairs of a sweep.

    Args:
      source: FILE.py[:NAME] with `get_sweep`, or the name of one in the package, which
        experiments/sweep.py prints as JSON; or a .json file with such a list, or "-" for standard
        input.
      seeds: number of seeds per variant of a FILE.py; None for the default of sweep.py.

    Raises:
      UserError: the source cannot be read, or is not a list of runs.
    """
    name, colon, part = source.partition(":")
    if source != "-" and not name.endswith(".json"):
        path = find(name, "sweep")
        return _checked(source, _printed(f"{path}{colon}{part}", _expander(path), seeds))
    if seeds is not None:
        raise UserError(
            f"--seeds is for a FILE.py, and {source} lists its seeds itself; leave --seeds out."
        )
    try:
        text = sys.stdin.read() if source == "-" else Path(source).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"--sweep {source} cannot be read: {error}.") from error
    return _checked(source, text)


def _expander(path: Path) -> Path:
    """The script that expands a sweep file into JSON: the one beside it, or the package's."""
    beside = path.with_name(EXPANDER)
    return beside if beside.is_file() else experiments() / EXPANDER


def _printed(source: str, expander: Path, seeds: int | None) -> str:
    """Runs the sweep file, a user's program, in a process of its own, and returns its JSON."""
    option = [] if seeds is None else [f"--seeds={seeds}"]
    command = [sys.executable, str(expander), source, *option]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip() or "no reason given").splitlines()[-1]
        raise UserError(f"--sweep {source} cannot be loaded: {reason.removeprefix('sweep: ')}.")
    return done.stdout


def _checked(source: str, text: str) -> Entries:
    shape = f"--sweep {source} must be a JSON list of [name, settings by dotted name]"
    try:
        found = json.loads(text, parse_constant=_no_number)
    except RecursionError as error:
        raise UserError(f"{shape}; it is nested too deeply.") from error
    except ValueError as error:
        raise UserError(f"{shape}; it is not JSON ({str(error)[:200]}).") from error
    if not isinstance(found, list) or not found:
        raise UserError(f"{shape}, with at least one entry.")
    entries: dict[str, dict[str, Any]] = {}
    for entry in found:
        match entry:
            case [str(name), dict(overrides)]:
                pass
            case _:
                raise UserError(f"{shape}; {shown(entry)} is not such an entry.")
        if not NAME.fullmatch(name) or {".", ".."} & set(name.split("/")):
            raise UserError(
                f"--sweep {source}: {name!r} cannot be a directory's name; use letters, digits, "
                "'.', '_', '-', '=' and single '/' between them."
            )
        if name in entries:
            raise UserError(f"--sweep {source}: two runs are named {name!r}; rename one.")
        entries[name] = overrides
    inside = [(a, b) for a in entries for b in entries if b.startswith(f"{a}/")]
    if inside:
        a, b = inside[0]
        raise UserError(f"--sweep {source}: run {b!r} would lie inside run {a!r}; rename one.")
    return list(entries.items())


def _no_number(word: str) -> Any:
    raise ValueError(f"{word} is not a number")


def plan(base: Base, entries: Entries, out: epath.PathLike) -> list[SweepRun]:
    """Makes and checks all runs of a sweep.

    Args:
      base: the config that they start from.
      entries: names and overrides, from `read_entries`.
      out: directory of the sweep; each run's work directory is OUT/NAME.

    Raises:
      UserError: a setting is unknown, invalid or set twice, or OUT/NAME has another experiment.
    """
    return [_planned(base, name, overrides, out) for name, overrides in entries]


def _planned(base: Base, name: str, overrides: Mapping[str, Any], out: epath.PathLike) -> SweepRun:
    try:
        overrides = {"name": SEED.sub("", name), **known_names(overrides)}
        for key, value in overrides.items():
            if base.overrides.get(key, value) != value:
                raise UserError(
                    f"the command line sets config.{key} to {base.overrides[key]!r}, and the sweep "
                    f"to {value!r}; leave one of them out."
                )
        experiment = from_dict(with_overrides(base.config, overrides))
        workdir = WorkDir(epath.Path(out) / name)
        if workdir.config.exists():
            # training would refuse it as well, but finished runs are not trained again
            workdir.refuse_other(workdir.read()[0], experiment, flag="--out")
    except UserError as error:
        raise UserError(f"Run {name}: {error}") from error
    settings = {**base.overrides, **overrides}
    train = (
        *TRM,
        "train",
        f"--config={base.file}",
        f"--workdir={workdir.root}",
        *_plugins(experiment),
        *(f"--config.{k}={tuple(v) if isinstance(v, list) else v}" for k, v in settings.items()),
    )
    return SweepRun(name, workdir, experiment, train)


def record(out: epath.PathLike, base: Base, entries: Sequence[tuple[str, Any]]) -> None:
    """Writes OUT/sweep.json, the definition of the sweep."""
    asked = {"config": base.file, "overrides": dict(base.overrides), "runs": list(entries)}
    write_whole(epath.Path(out) / "sweep.json", json.dumps(asked, indent=2) + "\n")
