"""`trm train`."""

from collections.abc import Sequence

from absl import flags

from trm_jax.commands import common
from trm_jax.core.distributed import together
from trm_jax.train.loop import train


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
    finite, 2 a mistake. Several processes run the same command; see docs/clusters.md.
    """
    common.refuse_rest(rest)
    workdir = common.need(values, "workdir")
    experiment = common.experiment(values)
    common.join(values)
    with together():
        return train(experiment, workdir)
