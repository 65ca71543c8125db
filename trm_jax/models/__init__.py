"""The registry of models: one name each, one interface (see `trm_jax.models.trm.TRM`)."""

from trm_jax.errors import UserError
from trm_jax.models.trm import TRM
from trm_jax.types import ModelConfig

MODELS = {"trm": TRM}


def get_model(config: ModelConfig) -> TRM:
    """The model that `config.kind` names.

    Raises:
      UserError: no model has this name.
    """
    if config.kind not in MODELS:
        raise UserError(
            f"config.model.kind is {config.kind!r}; the models are {', '.join(sorted(MODELS))}."
        )
    return MODELS[config.kind](config)
