"""Flags that several commands have, and the checks of their values."""

from collections.abc import Sequence
from typing import Any

from absl import flags
from ml_collections import config_flags

from trm_jax.config.arguments import refuse_settings_alone
from trm_jax.config.dotted import refuse_other_tasks
from trm_jax.config.experiment import Experiment, from_dict
from trm_jax.core import distributed
from trm_jax.core.errors import UserError
from trm_jax.core.registry import located
from trm_jax.tasks.task import TASKS
from trm_jax.train.workdir import WorkDir


def define_workdir(values: flags.FlagValues) -> None:
    """Adds --workdir."""
    where = "Work directory of a training run: its config, checkpoints, metrics and evaluations."
    flags.DEFINE_string("workdir", None, where, flag_values=values)


def define_processes(values: flags.FlagValues) -> None:
    """Adds --coordinator, --num_processes and --process_id."""
    where = "Address of process 0, HOST:PORT; default: $TRM_COORDINATOR."
    flags.DEFINE_string("coordinator", None, where, flag_values=values)
    count = "Number of processes of the run; default: $TRM_NUM_PROCESSES."
    flags.DEFINE_integer("num_processes", None, count, flag_values=values)
    number = "Index of this process, counted from 0; default: $TRM_PROCESS_ID."
    flags.DEFINE_integer("process_id", None, number, flag_values=values)


def join(values: flags.FlagValues) -> None:
    """Joins the other processes of a run, if there are any; to be called before any use of JAX.

    Raises:
      UserError: the other processes cannot be reached, or a flag is invalid.
    """
    distributed.join(values.coordinator, values.num_processes, values.process_id)


def define_checkpoint(values: flags.FlagValues) -> None:
    """Adds --checkpoint and --steps."""
    which = "Checkpoint to load, by its training step; default: the best on held-out puzzles."
    flags.DEFINE_integer("checkpoint", None, which, flag_values=values)
    steps = "Supervision steps per puzzle; default: as many as in training (config.model.N)."
    flags.DEFINE_integer("steps", None, steps, flag_values=values)


def define_voting(values: flags.FlagValues) -> None:
    """Adds --voting and --max_augmentations, for tasks in which augmented copies vote."""
    votings = dict.fromkeys(name for task in TASKS.all().values() for name in task.votings)
    voting = (
        "How candidate answers are ranked: by the number of votes (count), or by the sum, mean "
    )
    voting += "or maximum of their confidences; default: count."
    flags.DEFINE_enum("voting", None, list(votings), voting, flag_values=values)
    most = "Maximum number of augmented copies of each test, besides the original; default: all."
    flags.DEFINE_integer("max_augmentations", None, most, lower_bound=0, flag_values=values)


def depth(values: flags.FlagValues, default: int) -> int:
    """The number of supervision steps: --steps, or the default.

    Raises:
      UserError: the number is not positive.
    """
    steps = default if values.steps is None else values.steps
    if steps < 1:
        raise UserError(f"--steps is {steps}; give 1 or more supervision steps.")
    return steps


def define_config(values: flags.FlagValues, arguments: Sequence[str]) -> None:
    """Adds --config FILE[:variant] and --config.a.b=value.

    Args:
      values: receives the flags.
      arguments: all arguments of the command.

    Raises:
      UserError: single settings are given without --config.
    """
    refuse_settings_alone(arguments)
    config_flags.DEFINE_config_file(
        "config",
        None,
        "Config: one of the package's, as sudoku:demo, or a file, as FILE.py or FILE.py:VARIANT. "
        "--config.a.b=VALUE overrides a setting; docs/reference/settings.md lists all.",
        flag_values=values,
        sys_argv=["trm", *arguments],
    )


def experiment(values: flags.FlagValues) -> Experiment:
    """The validated experiment of --config; loads its plugins.

    Raises:
      UserError: --config is missing, cannot be loaded, or has an invalid setting.
    """
    config = settings(values)
    found = from_dict(config)
    refuse_other_tasks(found.data.task, config_flags.get_override_values(values["config"]))
    return found


def settings(values: flags.FlagValues) -> dict[str, Any]:
    """The settings of --config with all defaults filled in, not validated yet.

    The plugins of --plugin are added to `plugins`; plugin files have absolute paths.

    Raises:
      UserError: --config is missing or cannot be loaded.
    """
    config: dict[str, Any] = need(values, "config").to_dict()
    plugins = [*config["plugins"], *(values.plugin if "plugin" in values else ())]
    if all(isinstance(plugin, str) for plugin in plugins):  # otherwise the validation refuses it
        config["plugins"] = tuple(dict.fromkeys(map(located, plugins)))
    return config


def need(values: flags.FlagValues, name: str) -> Any:
    """The value of a required flag.

    Raises:
      UserError: the flag is missing or empty, or is a work directory inside another one.
    """
    value = getattr(values, name)
    if value is None:
        raise UserError(f"--{name} is missing; the command's --help explains it.")
    if value == "":
        raise UserError(f"--{name} is empty; the command's --help explains it.")
    if name == "workdir":
        _refuse_inside(value)
    return value


def need_local(values: flags.FlagValues, name: str) -> Any:
    """The value of a required flag that is a path on this machine.

    Raises:
      UserError: see `need`; or the value is an address.
    """
    value = need(values, name)
    if "://" in value:
        raise UserError(f"--{name} is {value}, an address; give a path on this machine.")
    return value


def _refuse_inside(workdir: str) -> None:
    """Refuses a folder inside a run's work directory, such as its data, as --workdir."""
    if "://" in workdir:
        return
    own = WorkDir(workdir)
    if own.config.exists():
        return
    for outer in map(WorkDir, own.root.parents):
        if outer.config.exists() and outer.checkpoints.is_dir():
            raise UserError(
                f"--workdir {workdir} lies inside the work directory {outer.root}; give that one, "
                "or a directory outside it."
            )


def refuse_rest(rest: Sequence[str]) -> None:
    """Refuses arguments that are not flags.

    Raises:
      UserError: there is one.
    """
    if rest:
        raise UserError(f"{rest[0]!r} is not a flag; flags start with '--'.")
