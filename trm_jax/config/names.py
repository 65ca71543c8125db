"""Settings by their dotted names ("model.T"): to set some, and to tell experiments apart."""

import copy
from collections.abc import Mapping
from typing import Any

from trm_jax.config.experiment import Experiment
from trm_jax.core.errors import UserError

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
        "data.path",
        "accumulate",
        "mesh.data",
        "mesh.table",
    )
)


def with_overrides(config: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of a nested config with some settings replaced.

    Raises:
      UserError: the config has no such setting.
    """
    changed = copy.deepcopy(dict(config))
    for key, value in overrides.items():
        *groups, last = key.split(".")
        place: Any = changed
        for group in groups:
            place = place.get(group) if isinstance(place, Mapping) else None
        if not isinstance(place, dict) or last not in place or isinstance(place[last], Mapping):
            raise UserError(f"--config has no setting config.{key}.")
        place[last] = value
    return changed


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
