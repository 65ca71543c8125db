"""Settings by their dotted names ("model.T"): to set some, and to tell experiments apart."""

from collections.abc import Iterable, Mapping
from typing import Any

from trm_jax.config.experiment import Experiment
from trm_jax.core.errors import UserError
from trm_jax.core.settings import tuples, unknown
from trm_jax.tasks.sources import RENAMED, json_copy
from trm_jax.tasks.task import TASKS

# What may change between two runs of one experiment without making it another one. Where the
# data lie may change as well: the data set's fingerprint says whether they are the same.
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
    """A dotted name as settings are called now.

    Raises:
      UserError: there is no such setting; suggests the nearest ones.
    """
    name = RENAMED.get(name, name)
    names = Experiment.all_names()
    if f"config.{name}" not in names:
        raise unknown(f"config.{name}", names)
    return name


def known_names(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings by the dotted names that they have now.

    Raises:
      UserError: there is no such setting, or one has two values, by its old name and its new one.
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
    """A copy of a nested config with some settings replaced.

    Raises:
      UserError: there is no such setting, it belongs to another task than the config's, or it is
        set twice.
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
    """Refuses settings of other tasks than the chosen one, which nothing would look at.

    Args:
      task: the chosen one.
      names: dotted names that a user has set.

    Raises:
      UserError: one of them is.
    """
    for name in map(known_name, names):
        parts = name.split(".")
        if len(parts) == 3 and parts[0] == "data" and parts[1] in TASKS.all() and parts[1] != task:
            raise UserError(
                f"config.{name} is a setting of the task {parts[1]!r}, and config.data.task is "
                f"{task!r}; leave it out, or set config.data.task too."
            )


def flat(config: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """Every setting of a nested config by its dotted name."""
    found: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{path}{key}.")
        else:
            found[path + key] = value
    return found


def identity(experiment: Experiment) -> dict[str, Any]:
    """What makes it another experiment when it changes: all but the free settings."""
    settings = flat(experiment.to_dict())
    return {key: value for key, value in settings.items() if key not in FREE}
