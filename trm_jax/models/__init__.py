"""The registry of models: one name each, one interface (see `trm_jax.models.trm.TRM`)."""

from trm_jax.errors import UserError
from trm_jax.models.trm import TRM
from trm_jax.types import ModelConfig

MODELS = {"trm": TRM}


def check_kind(kind: str) -> None:
    """Refuses a name that no model has.

    Raises:
      UserError: it is not in the registry.
    """
    if kind not in MODELS:
        raise UserError(
            f"config.model.kind is {kind!r}; the models are {', '.join(sorted(MODELS))}."
        )


def get_model(config: ModelConfig) -> TRM:
    """The model that `config.kind` names.

    Raises:
      UserError: no model has this name.
    """
    check_kind(config.kind)
    return MODELS[config.kind](config)
