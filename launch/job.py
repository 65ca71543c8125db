"""The description of a job, read from a YAML file and checked before anything else."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import documents, hardware, names, private
from .errors import LaunchError
from .fields import build

ENGINES = ("tpu", "gke", "slurm", "local", "sky")
PLACEHOLDER = re.compile(r"\bYOUR-[A-Z]+(?:-[A-Z]+)*")
OURS = re.compile("TRM_.*")


@dataclass(frozen=True)
class Code:
    """The code that the machines run.

    Attributes:
      repository: address of the repository to clone.
      commit: full commit; by default that of this checkout, if the launcher runs in one.
      image: container image, for Kubernetes.
      extra: extra of the package, `tpu` or `cuda`; by default the one for the engine.
    """

    repository: str | None = None
    commit: str | None = None
    image: str | None = None
    extra: str | None = None


@dataclass(frozen=True)
class Job:
    """A training job.

    Attributes:
      name: name of the job; the same name resumes it.
      command: arguments of `trm`, without --workdir: [train, --config, FILE:variant, ...].
      workdir: bucket or directory that all processes share.
      environment: environment variables of all processes; must not contain secrets.
      secrets: names of variables whose values each engine stores elsewhere.
      restarts: maximum number of restarts; preemptions are not counted.
      code: the code that the machines run.
      tpu, gke, slurm, local, sky: hardware sections, one per engine that may run the job.
    """

    name: str
    command: tuple[str, ...]
    workdir: str
    environment: dict[str, str] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()
    restarts: int = 10
    code: Code = field(default_factory=Code)
    tpu: hardware.Tpu | None = None
    gke: hardware.Gke | None = None
    slurm: hardware.Slurm | None = None
    local: hardware.Local | None = None
    sky: hardware.Sky | None = None

    def __post_init__(self) -> None:
        """Checks the values.

        Raises:
          LaunchError: a value is invalid, or looks like a secret.
        """
        if not names.is_safe(self.name):
            raise LaunchError(
                f"name {self.name!r} must be {names.LIMIT} characters or fewer: lower-case "
                "letters, digits and single '-', beginning with a letter; for example "
                f"{names.safe(self.name)!r}."
            )
        if self.command[:1] != ("train",):
            raise LaunchError("command must begin with `train`: [train, --config, FILE:variant].")
        if any(word.split("=")[0] == "--workdir" for word in self.command):
            raise LaunchError("command: leave --workdir out and write it as the key `workdir`.")
        if self.restarts < 0:
            raise LaunchError(f"restarts must be 0 or more, not {self.restarts}.")
        if not self.workdir or "\n" in self.workdir or "\t" in self.workdir:
            raise LaunchError("workdir must be a bucket or directory, in one line.")
        check_variables(self.environment, self.secrets)
        private.check_text("command", self.command)
        private.check_text("code: repository", [self.code.repository or ""])
        private.check_text("workdir", [self.workdir])

    @property
    def engines(self) -> list[str]:
        """Engines for which the job has a hardware section."""
        return [engine for engine in ENGINES if getattr(self, engine) is not None]


def check_variables(environment: dict[str, str], secrets: Sequence[str]) -> None:
    """Refuses invalid names of variables, names that the launcher sets itself, and secrets.

    Raises:
      LaunchError: names the variable.
    """
    for name in (*environment, *secrets):
        if not re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", name):
            raise LaunchError(f"{name!r} is not a valid name of an environment variable.")
        if OURS.fullmatch(name):
            raise LaunchError(
                f"environment: {name} is reserved for the launcher; choose another name."
            )
    private.check_environment(environment)


def load(path: Path, changes: Sequence[str] = ()) -> Job:
    """Reads a job file.

    Args:
      path: the file.
      changes: "key=value" or "section.key=value"; the value is read as YAML.

    Raises:
      LaunchError: the file cannot be read, or has an invalid key or value.
    """
    raw = documents.parse_yaml(documents.read_text(path, str(path)), str(path))
    if not isinstance(raw, dict):
        raise LaunchError(f"{path} must be a mapping of keys to values, with the key `name`.")
    for change in changes:
        _set(raw, change)
    try:
        private.check_all(raw)
        return build(Job, raw, str(path))
    except LaunchError as error:
        text = str(error)
        raise LaunchError(text if text.startswith(str(path)) else f"{path}: {text}") from error


def _set(raw: dict[str, Any], change: str) -> None:
    key, equals, text = change.partition("=")
    parts = key.split(".")
    if not equals or not all(parts):
        raise LaunchError(f"--set {change!r} must be KEY=VALUE, such as tpu.zone=us-west4-a.")
    value = documents.parse_yaml(text, f"--set {key}: the value")
    for part in parts[:-1]:
        raw = raw.setdefault(part, {})
        if not isinstance(raw, dict):
            raise LaunchError(f"--set {change!r}: {part!r} is not a section.")
    raw[parts[-1]] = value


def placeholders(texts: Sequence[str]) -> list[str]:
    """Placeholders such as YOUR-PROJECT in the texts of a ready-made job file."""
    return sorted({word for text in texts for word in PLACEHOLDER.findall(text)})
