"""Where the launcher's own files lie, and how ready-made ones are found by name.

In a clone `launch/` and `experiments/` stand side by side at the top. Installed they stand side by
side too, within the package `trm_jax`.
"""

from pathlib import Path

from .errors import LaunchError

HERE = Path(__file__).resolve().parent
ABOVE = HERE.parent
"""The clone's top, or the installed package, which is no clone."""
README, JOBS, SCRIPTS = HERE / "README.md", HERE / "jobs", HERE / "scripts"
EXPERIMENTS = ABOVE / "experiments"
SUFFIXES = (".yaml", ".yml")


def ready_jobs() -> list[str]:
    """Names of the ready-made job files."""
    return sorted(path.stem for path in JOBS.glob("*.yaml"))


def job_file(name: str) -> Path:
    """The job file that is meant; the user's own comes before a ready-made one of its name.

    Args:
      name: a path, or a bare name with or without ".yaml".

    Raises:
      LaunchError: there is neither; the sentence lists the ready-made ones.
    """
    if "\0" in name:
        raise LaunchError("the name of the job file has a NUL character; leave it out.")
    own = [Path(name), *(Path(name + suffix) for suffix in SUFFIXES)]
    # A pipe is a job file too (`<(...)` of the shell), hence not `is_file`.
    found = [path for path in own if path.exists() and not path.is_dir()]
    if not found and _is_bare(name):
        found = [path for path in (JOBS / name, JOBS / f"{name}.yaml") if path.is_file()]
    if not found:
        raise LaunchError(
            f"there is no job file {name}; write one, or take a ready-made one by its name: "
            f"{', '.join(ready_jobs())}."
        )
    return found[0]


def sweep_file(name: str) -> Path:
    """The Python file of a sweep: the user's own, or else the one of experiments/ of that name.

    Args:
      name: a path, "experiments/FILE.py", or a bare name with or without ".py".
    """
    own = Path(name)
    ready = EXPERIMENTS / own.with_suffix(".py").name
    named = _is_bare(name) or own.parent == Path(EXPERIMENTS.name)
    return ready if not own.exists() and named and ready.is_file() else own


def _is_bare(name: str) -> bool:
    return Path(name).name == name
