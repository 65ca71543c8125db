"""`trm train`."""

from collections.abc import Sequence
from pathlib import Path

from absl import flags
from ml_collections import config_flags

from trm_jax.commands import common
from trm_jax.config.experiment import Experiment
from trm_jax.core.distributed import together
from trm_jax.core.errors import UserError
from trm_jax.released import stored
from trm_jax.released.cards import find, near
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
    """Trains a model, or resumes a run.

    Usage:
      trm train --config sudoku:demo --workdir runs/demo [--config.seed=1]

    The same command with the same work directory resumes the run: bit for bit on as many CPU
    devices, up to rounding on another number. With several processes, each runs this command; see
    docs/how-to/clusters.md.

    Exit codes: 0 finished; 2 wrong usage or input; 3 the loss is not finite; 42 interrupted
    (SIGTERM, Ctrl-C, or another process ended), a checkpoint is saved and the run can be resumed.
    """
    common.refuse_rest(rest)
    workdir = common.need(values, "workdir")
    experiment = common.experiment(values)
    refuse_unused(experiment.data, config_flags.get_override_values(values["config"]))
    _refuse_no_start(experiment, workdir)
    common.join(values)
    with together():
        return train(experiment, workdir, stored.load_start)


def _refuse_no_start(experiment: Experiment, root: str) -> None:
    """Refuses a new run whose `init_from` has no weights, before the data are built.

    Raises:
      UserError: `init_from` cannot be used.
    """
    if not (source := experiment.init_from) or WorkDir(root).has_checkpoints():
        return
    if stored.names_released(source):
        stored.read_arrays(find(source))
        return
    try:
        if pack.is_pack(source):
            pack.Pack.open(source).refuse_unfit(experiment)
            return
        if "://" not in source and not Path(source).expanduser().exists():
            raise UserError(
                "there is no such path; give a work directory, a file of `trm pack`, or a released "
                f"model: {near(source)}"
            )
        start = WorkDir(source)
        start.read()
        if not start.has_checkpoints():
            raise UserError(
                "that run has no checkpoint yet; wait for its first one, or give another work "
                "directory."
            )
    except UserError as error:
        raise UserError(f"config.init_from is {source!r}: {error}") from error
