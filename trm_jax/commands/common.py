"""What the commands share: flags that several of them have, and checks of those."""

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
    flags.DEFINE_string("workdir", None, "Work directory of the run.", flag_values=values)


def define_processes(values: flags.FlagValues) -> None:
    """Adds --coordinator, --num_processes and --process_id."""
    where = "Several processes: HOST:PORT of process 0; default: $TRM_COORDINATOR."
    flags.DEFINE_string("coordinator", None, where, flag_values=values)
    count = "Several processes: how many; default: $TRM_NUM_PROCESSES."
    flags.DEFINE_integer("num_processes", None, count, flag_values=values)
    number = "Several processes: which one this is; default: $TRM_PROCESS_ID."
    flags.DEFINE_integer("process_id", None, number, flag_values=values)


def join(values: flags.FlagValues) -> None:
    """Joins the other processes of a run, if there are any; before anything else of JAX.

    Raises:
      UserError: they are not there, or a flag makes no sense.
    """
    distributed.join(values.coordinator, values.num_processes, values.process_id)


def define_checkpoint(values: flags.FlagValues) -> None:
    """Adds --checkpoint and --steps."""
    flags.DEFINE_integer("checkpoint", None, "Which one; default: the best.", flag_values=values)
    flags.DEFINE_integer("steps", None, "Depth; default: N of training.", flag_values=values)


def define_voting(values: flags.FlagValues) -> None:
    """Adds --voting and --max_augmentations, for tasks whose copies vote."""
    votings = dict.fromkeys(name for task in TASKS.all().values() for name in task.votings)
    voting = "Where copies of a puzzle vote (ARC): how they do; default: the first."
    flags.DEFINE_enum("voting", None, list(votings), voting, flag_values=values)
    most = "Where copies vote: copies of each test, besides the original; default: all."
    flags.DEFINE_integer("max_augmentations", None, most, lower_bound=0, flag_values=values)


def depth(values: flags.FlagValues, default: int) -> int:
    """--steps, or the default.

    Raises:
      UserError: it is not positive.
    """
    steps = default if values.steps is None else values.steps
    if steps < 1:
        raise UserError(f"--steps is {steps}; give 1 or more supervision steps.")
    return steps


def define_config(values: flags.FlagValues, arguments: Sequence[str]) -> None:
    """Adds --config FILE[:variant] and --config.a.b=value; `arguments` is the whole line.

    Raises:
      UserError: there are settings, and no --config.
    """
    refuse_settings_alone(arguments)
    config_flags.DEFINE_config_file(
        "config",
        None,
        "Config file, with :variant where it has several; single settings follow as "
        "--config.a.b=value.",
        flag_values=values,
        sys_argv=["trm", *arguments],
    )


def experiment(values: flags.FlagValues) -> Experiment:
    """The checked experiment of --config; its plugins are loaded.

    Raises:
      UserError: it is missing, cannot be loaded, or holds something wrong.
    """
    config = settings(values)
    found = from_dict(config)
    refuse_other_tasks(found.data.task, config_flags.get_override_values(values["config"]))
    return found


def settings(values: flags.FlagValues) -> dict[str, Any]:
    """The settings of --config with all defaults, not checked yet; --plugin is one of them.

    Plugins that are files are there by their absolute paths.

    Raises:
      UserError: it is missing or cannot be loaded.
    """
    config: dict[str, Any] = need(values, "config").to_dict()
    plugins = [*config["plugins"], *(values.plugin if "plugin" in values else ())]
    if all(isinstance(plugin, str) for plugin in plugins):  # else refused when it is checked
        config["plugins"] = tuple(dict.fromkeys(map(located, plugins)))
    return config


def need(values: flags.FlagValues, name: str) -> Any:
    """The value of a flag that has to be given.

    Raises:
      UserError: it was not, it is empty, or it is a work directory inside of another.
    """
    value = getattr(values, name)
    if value is None:
        raise UserError(f"--{name} is missing; `--help` explains it.")
    if value == "":
        raise UserError(f"--{name} is empty; `--help` explains it.")
    if name == "workdir":
        _refuse_inside(value)
    return value


def _refuse_inside(workdir: str) -> None:
    """Refuses a folder of a run, such as its data, in place of its work directory."""
    if "://" in workdir:
        return
    own = WorkDir(workdir)
    if own.config.exists():
        return
    for outer in map(WorkDir, own.root.parents):
        if outer.config.exists() and outer.checkpoints.is_dir():
            raise UserError(
                f"--workdir {workdir} lies inside the work directory {outer.root}; give that one, "
                "or one outside of it."
            )


def refuse_rest(rest: Sequence[str]) -> None:
    """Refuses what is no flag.

    Raises:
      UserError: there is something.
    """
    if rest:
        raise UserError(f"{rest[0]!r} is no flag; flags start with '--'.")
