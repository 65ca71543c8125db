"""What a sweep consists of, and what each of its runs still needs."""

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

ALGEBRA = "sweep.py"
SEED = re.compile(r"/seed\d+$")
NAME = re.compile(r"[A-Za-z0-9._=-]+(/[A-Za-z0-9._=-]+)*")
# like the console script, `trm sweep` keeps the current folder out of its children's imports
TRM = (sys.executable, *(["-P"] if sys.flags.safe_path else []), "-m", "trm_jax")

Entries = list[tuple[str, dict[str, Any]]]


@dataclasses.dataclass(frozen=True)
class Base:
    """What all runs start from.

    Attributes:
      file: the config file, with :variant.
      overrides: settings of the command line, by their dotted names.
      config: of the two, as nested plain data.
    """

    file: str
    overrides: Mapping[str, Any]
    config: Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class SweepRun:
    """One training of a sweep.

    Attributes:
      name: of the run, and of its directory in the sweep's.
      workdir: that directory.
      experiment: what is trained.
      train: the command.
    """

    name: str
    workdir: WorkDir
    experiment: Experiment
    train: tuple[str, ...]

    def latest(self) -> int:
        """Its newest complete checkpoint, 0 where there is none; needs no device."""
        return max(ocp.utils.checkpoint_steps(self.workdir.checkpoints), default=0)

    def needs(self) -> tuple[str, ...] | None:
        """The command to run next: training, then scoring its last checkpoint, then None."""
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
    """The (name, overrides) pairs of a sweep.

    Args:
      source: FILE.py[:NAME] with `get_sweep`, which experiments/sweep.py prints as JSON, or the
        name of one that comes with the package; or a .json file of that kind, or "-" for standard
        input.
      seeds: of each run of a FILE.py, None for the algebra's own number.

    Raises:
      UserError: there is nothing of the kind.
    """
    name, colon, part = source.partition(":")
    if source != "-" and not name.endswith(".json"):
        path = find(name, "sweep")
        return _checked(source, _printed(f"{path}{colon}{part}", _algebra(path), seeds))
    if seeds is not None:
        raise UserError(f"--seeds is for a FILE.py; the seeds of {source} are those it lists.")
    try:
        text = sys.stdin.read() if source == "-" else Path(source).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"--sweep {source} cannot be read: {error}.") from error
    return _checked(source, text)


def _algebra(path: Path) -> Path:
    """The program that prints a sweep file: the one beside it, else the one of the package."""
    beside = path.with_name(ALGEBRA)
    return beside if beside.is_file() else experiments() / ALGEBRA


def _printed(source: str, algebra: Path, seeds: int | None) -> str:
    """What the sweep file is as JSON; it is the user's own program, so it gets its own process."""
    option = [] if seeds is None else [f"--seeds={seeds}"]
    command = [sys.executable, str(algebra), source, *option]
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
        raise UserError(f"{shape}; it is no JSON ({str(error)[:200]}).") from error
    if not isinstance(found, list) or not found:
        raise UserError(f"{shape}, with at least one.")
    entries: dict[str, dict[str, Any]] = {}
    for entry in found:
        match entry:
            case [str(name), dict(overrides)]:
                pass
            case _:
                raise UserError(f"{shape}; {shown(entry)} is none.")
        if not NAME.fullmatch(name) or {".", ".."} & set(name.split("/")):
            raise UserError(
                f"--sweep {source}: {name!r} names no directory; use letters, digits, '.', '_', "
                "'-', '=' and single '/' between them."
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
    raise ValueError(f"{word} is no number")


def plan(base: Base, entries: Entries, out: epath.PathLike) -> list[SweepRun]:
    """Checks every run of a sweep.

    Args:
      base: what they start from.
      entries: see `read_entries`.
      out: the sweep's directory; each run's is OUT/NAME.

    Raises:
      UserError: a setting is unknown or wrong, is set twice, or OUT/NAME holds another experiment.
    """
    return [_planned(base, name, overrides, out) for name, overrides in entries]


def _planned(base: Base, name: str, overrides: Mapping[str, Any], out: epath.PathLike) -> SweepRun:
    try:
        overrides = {"name": SEED.sub("", name), **known_names(overrides)}
        for key, value in overrides.items():
            if base.overrides.get(key, value) != value:
                raise UserError(
                    f"the command line sets config.{key} = {base.overrides[key]!r} and the sweep "
                    f"{value!r}; drop one of them."
                )
        experiment = from_dict(with_overrides(base.config, overrides))
        workdir = WorkDir(epath.Path(out) / name)
        if workdir.config.exists():
            # training would refuse it too, but a finished run is not trained again
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
    """Writes OUT/sweep.json: what was asked for."""
    asked = {"config": base.file, "overrides": dict(base.overrides), "runs": list(entries)}
    write_whole(epath.Path(out) / "sweep.json", json.dumps(asked, indent=2) + "\n")
