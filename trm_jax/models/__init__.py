"""The registry of models: one name each (`variants.VARIANTS`), one interface (`model.Model`)."""

from trm_jax.errors import UserError
from trm_jax.models.model import Model
from trm_jax.models.variants import VARIANTS
from trm_jax.types import ModelConfig


def check_kind(kind: str) -> None:
    """Refuses a name that no model has.

    Raises:
      UserError: it is not in the registry.
    """
    if kind not in VARIANTS:
        raise UserError(f"config.model.kind is {kind!r}; the models are {', '.join(VARIANTS)}.")


def get_model(config: ModelConfig) -> Model:
    """The model that `config.kind` names.

    Raises:
      UserError: no model has this name.
    """
    check_kind(config.kind)
    return Model(config, VARIANTS[config.kind])
