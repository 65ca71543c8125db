"""The recipe of a training run: what its compiled programs depend on."""

import dataclasses

from trm_jax.config.experiment import Experiment, OptimizerConfig, TableConfig
from trm_jax.models.settings import LossConfig


@dataclasses.dataclass(frozen=True)
class Recipe:
    """All settings of an experiment that the compiled training programs depend on.

    Attributes:
      batch_size: number of slots over all devices, B.
      accumulate: number of microbatches that each device splits its slots into.
      chains: number of chains, K, see `train.chains`.
      steps: number of updates of the run, over which the learning rate decays.
      log_every: number of updates over which metrics are summed.
      optimizer: optimizer of the dense parameters; None to freeze them.
      schedule: config of the warm-up and decay that all learning rates follow.
      table: optimizer of the puzzle table.
      loss: config of the loss.
      average: whether moving averages are kept.
    """

    batch_size: int
    accumulate: int
    chains: int
    steps: int
    log_every: int
    optimizer: OptimizerConfig | None
    schedule: OptimizerConfig
    table: TableConfig
    loss: LossConfig
    average: bool = True


def recipe_of(experiment: Experiment) -> Recipe:
    """The recipe of an experiment."""
    return Recipe(
        batch_size=experiment.batch_size,
        accumulate=experiment.accumulate,
        chains=experiment.chains,
        steps=experiment.steps,
        log_every=experiment.log_every,
        optimizer=experiment.optimizer,
        schedule=experiment.optimizer,
        table=experiment.table,
        loss=experiment.loss,
    )
