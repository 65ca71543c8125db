"""Settings by their dotted names ("model.T"): overriding them, and comparing experiments."""

from collections.abc import Iterable, Mapping
from typing import Any

from trm_jax.config.experiment import Experiment
from trm_jax.core.errors import UserError
from trm_jax.core.settings import tuples, unknown
from trm_jax.tasks.sources import RENAMED, json_copy
from trm_jax.tasks.task import TASKS

# Settings that may change when an experiment is resumed. data.path is among them, since
# the dataset's fingerprint tells whether the data is the same.
FREE = frozenset(
    (
        "steps",
        "log_every",
        "eval_every",
        "checkpoint_every",
        "eval_batch_size",
        "wandb_project",
        "plugins",
        "data.path",
        "accumulate",
        "mesh.data",
        "mesh.table",
        "model.attention",
        "model.kernels",
    )
)


def known_name(name: str) -> str:
    """Returns the current dotted name of a setting, which may be given by an earlier name.

    Raises:
      UserError: the setting does not exist; the message suggests similar names.
    """
    name = RENAMED.get(name, name)
    names = Experiment.all_names()
    if f"config.{name}" not in names:
        raise unknown(f"config.{name}", names)
    return name


def known_names(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Returns settings keyed by their current dotted names.

    Raises:
      UserError: a setting does not exist, or has two values, by its old name and its current one.
    """
    found: dict[str, Any] = {}
    for key, value in settings.items():
        name = known_name(key)
        if tuples(found.setdefault(name, value)) != tuples(value):
            (old,) = (other for other in settings if other != name and known_name(other) == name)
            raise UserError(
                f"config.{old} is {settings[old]!r} and config.{name}, as it is called now, is "
                f"{settings[name]!r}; leave the first one out."
            )
    return found


def with_overrides(config: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a copy of a nested config with some settings replaced.

    Args:
      config: nested config.
      overrides: new values by dotted name.

    Raises:
      UserError: a setting does not exist, belongs to another task than the config's, or is set
        twice.
    """
    changed = json_copy(config)
    for key, value in known_names(overrides).items():
        *groups, last = key.split(".")
        place: Any = changed
        for group in groups:
            place = place.setdefault(group, {})
        place[last] = value
    task = changed.get("data", {}).get("task", "sudoku")
    refuse_other_tasks(task, overrides)
    return changed


def refuse_other_tasks(task: str, names: Iterable[str]) -> None:
    """Refuses settings that belong to other tasks than the chosen one and would have no effect.

    Args:
      task: name of the chosen task.
      names: dotted names of the settings that the user has set.

    Raises:
      UserError: a setting belongs to another task.
    """
    for name in map(known_name, names):
        parts = name.split(".")
        if len(parts) == 3 and parts[0] == "data" and parts[1] in TASKS.all() and parts[1] != task:
            raise UserError(
                f"config.{name} is a setting of the task {parts[1]!r}, and config.data.task is "
                f"{task!r}; leave it out, or set config.data.task too."
            )


def flat(config: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """Returns every setting of a nested config by its dotted name."""
    found: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{path}{key}.")
        else:
            found[path + key] = value
    return found


def identity(experiment: Experiment) -> dict[str, Any]:
    """The settings that identify an experiment: all except those in `FREE`."""
    settings = flat(experiment.to_dict())
    return {key: value for key, value in settings.items() if key not in FREE}
