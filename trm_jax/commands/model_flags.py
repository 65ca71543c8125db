"""The flags that say which trained model: a work directory's, or a released one."""

from absl import flags

from trm_jax.commands import common
from trm_jax.core.errors import UserError
from trm_jax.released.stored import load_released
from trm_jax.train.trained import Trained, load


def define(values: flags.FlagValues) -> None:
    """Adds --workdir and --model."""
    common.define_workdir(values)
    name = "Released model in place of --workdir; `trm models` lists them."
    flags.DEFINE_string("model", None, name, flag_values=values)


def given(values: flags.FlagValues) -> bool:
    """Whether --workdir or --model says which model."""
    return values.workdir is not None or values.model is not None


def check(values: flags.FlagValues) -> None:
    """Refuses, before anything is read, what says no model.

    Raises:
      UserError: --workdir and --model are both given or none, or one is empty.
    """
    if not given(values):
        raise UserError("--workdir is missing; give it, or --model with a released model.")
    if values.workdir is not None and values.model is not None:
        raise UserError("--workdir and --model are both given; give one of them.")
    common.need(values, "workdir" if values.model is None else "model")


def load_model(values: flags.FlagValues, step: int | None) -> Trained:
    """Loads the model of --workdir or --model.

    Args:
      values: of the flags.
      step: the checkpoint of a work directory; None for the best.

    Raises:
      UserError: both are given or none, or there is no such model.
    """
    check(values)
    return load(values.workdir, step) if values.model is None else released(values.model, step)


def released(name: str, step: int | None) -> Trained:
    """Loads a released model.

    Raises:
      UserError: a checkpoint is asked for, or there is no such model.
    """
    if step is not None:
        raise UserError(
            f"--checkpoint is {step}, and the released model {name} holds one checkpoint; leave "
            "it out, or give a --workdir."
        )
    return load_released(name)
