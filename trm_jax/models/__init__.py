"""The registry of models: one name each (`variants.VARIANTS`), one interface (`model.Model`)."""

from collections.abc import Sequence

from trm_jax.config.experiment import Experiment
from trm_jax.core.errors import UserError
from trm_jax.core.types import ModelConfig
from trm_jax.models.model import Model
from trm_jax.models.variants import VARIANTS


def check_kind(kind: str) -> None:
    """Refuses a name that no model has.

    Raises:
      UserError: it is not in the registry.
    """
    if kind not in VARIANTS:
        raise UserError(f"config.model.kind is {kind!r}; the models are {', '.join(VARIANTS)}.")


def check_curriculum(kind: str, n: int, curriculum: Sequence[tuple[float, int, int]]) -> None:
    """Refuses a depth curriculum that a model cannot follow.

    Args:
      kind: of the model, in the registry.
      n: its latent updates per recursion.
      curriculum: see `config.Experiment`.

    Raises:
      UserError: the model has no depth, or n is the number of its states.
    """
    variant = VARIANTS[kind]
    if curriculum and not variant.recurses:
        raise UserError(
            f"config.curriculum changes the depth of recursion, and a {kind!r} model has none; "
            "leave it empty."
        )
    if variant.state_names(1) != variant.state_names(2) and any(m != n for _, _, m in curriculum):
        raise UserError(
            f"config.curriculum changes n, which is the number of latents of a {kind!r} model; "
            f"keep n = config.model.n = {n} in all stages."
        )


def check_experiment(experiment: Experiment) -> None:
    """Refuses what `config` cannot know to be wrong, before anything is built.

    Raises:
      UserError: there is no such model, or it has no depth for a curriculum, no z for chains, or
        no digits in its puzzles.
    """
    kind, n = (experiment.model[key] for key in ("kind", "n"))
    check_kind(kind)
    check_curriculum(kind, n, experiment.curriculum)
    if experiment.model["mixer"] == "digits" and experiment.data.task != "sudoku":
        raise UserError(
            "config.model.mixer is 'digits', for the digits of a Sudoku, and config.data.task is "
            f"{experiment.data.task!r}; choose 'mlp' or 'attention'."
        )
    if experiment.chains > 1 and len(VARIANTS[kind].state_names(n)) < 2:
        raise UserError(
            f"config.chains is {experiment.chains}, and chains differ in z, which a {kind!r} model "
            "lacks; set it to 1."
        )


def get_model(config: ModelConfig) -> Model:
    """The model that `config.kind` names.

    Raises:
      UserError: no model has this name.
    """
    check_kind(config.kind)
    return Model(config, VARIANTS[config.kind])
