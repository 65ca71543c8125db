"""The flags that choose a trained model: of a work directory, or a released one."""

from absl import flags

from trm_jax.commands import common
from trm_jax.core.errors import UserError
from trm_jax.released.stored import load_released
from trm_jax.train.trained import Trained, load


def define(values: flags.FlagValues) -> None:
    """Adds --workdir and --model."""
    common.define_workdir(values)
    name = "Name of a released model, instead of --workdir; `trm models` lists them."
    flags.DEFINE_string("model", None, name, flag_values=values)


def given(values: flags.FlagValues) -> bool:
    """Whether --workdir or --model is given."""
    return values.workdir is not None or values.model is not None


def check(values: flags.FlagValues) -> None:
    """Checks --workdir and --model before anything is read.

    Raises:
      UserError: both flags or neither are given, or the flag is empty.
    """
    if not given(values):
        raise UserError("--workdir is missing; give it, or --model with a released model.")
    if values.workdir is not None and values.model is not None:
        raise UserError("--workdir and --model are both given; give one of them.")
    common.need(values, "workdir" if values.model is None else "model")


def load_model(values: flags.FlagValues, step: int | None) -> Trained:
    """Loads the model of --workdir or --model.

    Args:
      values: parsed flags.
      step: training step of the checkpoint in a work directory; None for the best one.

    Raises:
      UserError: both flags or neither are given, or the model does not exist.
    """
    check(values)
    return load(values.workdir, step) if values.model is None else released(values.model, step)


def released(name: str, step: int | None) -> Trained:
    """Loads a released model.

    Args:
      name: name of the model.
      step: has to be None: a released model has a single checkpoint.

    Raises:
      UserError: a step is given, or the model does not exist.
    """
    if step is not None:
        raise UserError(
            f"--checkpoint is {step}, but the released model {name} has a single checkpoint; leave "
            "--checkpoint out, or give a --workdir."
        )
    return load_released(name)
