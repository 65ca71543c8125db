"""`trm train`."""

from collections.abc import Sequence

from absl import flags
from ml_collections import config_flags

from trm_jax.commands import common
from trm_jax.config.experiment import Experiment
from trm_jax.core.distributed import together
from trm_jax.core.errors import UserError
from trm_jax.tasks.sources import refuse_unused
from trm_jax.train import pack
from trm_jax.train.loop import train
from trm_jax.train.workdir import WorkDir


def define(values: flags.FlagValues, arguments: Sequence[str]) -> None:
    """Adds the flags."""
    common.define_workdir(values)
    common.define_config(values, arguments)
    common.define_processes(values)


def run(values: flags.FlagValues, rest: Sequence[str]) -> int:
    """Trains a model, or goes on where it stopped.

    trm train --config experiments/sudoku.py:demo --workdir runs/demo [--config.seed=1]

    The same command on the same work directory resumes, bit for bit. Exit codes: 0 done,
    42 checkpointed and wants a restart (SIGTERM, Ctrl-C, another process ended), 3 the loss is not
    finite, 2 a mistake. Several processes run the same command; see docs/how-to/clusters.md.
    """
    common.refuse_rest(rest)
    workdir = common.need(values, "workdir")
    experiment = common.experiment(values)
    refuse_unused(experiment.data, config_flags.get_override_values(values["config"]))
    _refuse_no_start(experiment, workdir)
    common.join(values)
    with together():
        return train(experiment, workdir)


def _refuse_no_start(experiment: Experiment, root: str) -> None:
    """Refuses a fresh run whose `init_from` has nothing to start from, before data are built.

    Raises:
      UserError: names the setting.
    """
    if not experiment.init_from or WorkDir(root).has_checkpoints():
        return
    if pack.is_pack(experiment.init_from):
        pack.Pack.open(experiment.init_from).refuse_unfit(experiment)
        return
    try:
        start = WorkDir(experiment.init_from)
        start.read()
    except UserError as error:
        raise UserError(f"config.init_from is {experiment.init_from!r}: {error}") from error
    if not start.has_checkpoints():
        raise UserError(
            f"config.init_from is {experiment.init_from!r}, and that run has no checkpoint yet; "
            "let it reach its first one, or give another work directory."
        )
