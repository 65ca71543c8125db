"""Paths of the launcher's own files, and lookup of ready-made ones by name.

`launch/` and `experiments/` are in the same folder: the top of a clone, or the installed package
`trm_jax`.
"""

from pathlib import Path

from .errors import LaunchError

HERE = Path(__file__).resolve().parent
ABOVE = HERE.parent
"""The top of the clone, or the installed package."""
README, JOBS, SCRIPTS = HERE / "README.md", HERE / "jobs", HERE / "scripts"
EXPERIMENTS = ABOVE / "experiments"
SUFFIXES = (".yaml", ".yml")


def ready_jobs() -> list[str]:
    """Names of the ready-made job files."""
    return sorted(path.stem for path in JOBS.glob("*.yaml"))


def job_file(name: str) -> Path:
    """Finds a job file; a user's file takes precedence over a ready-made one of the same name.

    Args:
      name: a path, or a name with or without ".yaml".

    Raises:
      LaunchError: there is no such file; the message lists the ready-made ones.
    """
    if "\0" in name:
        raise LaunchError("the name of the job file has a NUL character; leave it out.")
    own = [Path(name), *(Path(name + suffix) for suffix in SUFFIXES)]
    # not `is_file`, since a pipe can be a job file too (`<(...)` of the shell)
    found = [path for path in own if path.exists() and not path.is_dir()]
    if not found and _is_bare(name):
        found = [path for path in (JOBS / name, JOBS / f"{name}.yaml") if path.is_file()]
    if not found:
        raise LaunchError(
            f"there is no job file {name}; write one, or give the name of a ready-made one: "
            f"{', '.join(ready_jobs())}."
        )
    return found[0]


def sweep_file(name: str) -> Path:
    """The Python file of a sweep: the user's own or, if it does not exist, that in experiments/.

    Args:
      name: a path, "experiments/FILE.py", or a name with or without ".py".
    """
    own = Path(name)
    ready = EXPERIMENTS / own.with_suffix(".py").name
    named = _is_bare(name) or own.parent == Path(EXPERIMENTS.name)
    return ready if not own.exists() and named and ready.is_file() else own


def _is_bare(name: str) -> bool:
    return Path(name).name == name
