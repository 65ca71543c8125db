"""How weights are trained: what the compiled programs of a run depend on."""

import dataclasses

from trm_jax.config.experiment import Experiment, OptimizerConfig, TableConfig
from trm_jax.models.settings import LossConfig


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How weights are trained: all of an experiment that the compiled programs depend on.

    Attributes:
      batch_size: B, over all devices.
      accumulate: parts in which each device takes its slots.
      chains: K, see `train.chains`.
      steps: updates of the whole run, over which the learning rate falls.
      log_every: updates over which metrics are added up.
      optimizer: of the dense parameters; None leaves them as they are.
      schedule: whose warm-up and decay the rates follow.
      table: the puzzle table's.
      loss: what is minimised.
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
    """How an experiment trains."""
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
