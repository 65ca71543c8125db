"""The models: one interface (`model.Model`), a name each (`variants.VARIANTS`, `mixers.MIXERS`)."""

from collections.abc import Sequence

import jax

from trm_jax.core.errors import UserError
from trm_jax.models.mixers import MIXERS
from trm_jax.models.model import Model
from trm_jax.models.settings import FUSED, PLAIN, ModelConfig, ModelSettings
from trm_jax.models.variants import VARIANTS


def check_model(settings: ModelSettings) -> None:
    """Refuses settings that do not go together, whatever the puzzles.

    Raises:
      UserError: an unknown kind or mixer, or settings that they cannot use.
    """
    if settings.kind not in VARIANTS:
        raise UserError(
            f"config.model.kind is {settings.kind!r}; the models are {', '.join(VARIANTS)}."
        )
    mixer = MIXERS.get(settings.mixer)
    if settings.positions not in mixer.positions:
        raise UserError(
            f"config.model.positions is {settings.positions!r}, and the {settings.mixer} mixer "
            f"takes {' or '.join(map(repr, mixer.positions))}."
        )
    mixer.check(settings)
    if settings.kernels == FUSED and (settings.gate != "silu" or settings.dtype == "float64"):
        raise UserError(
            f"config.model.kernels is {FUSED!r}, whose gate is 'silu' and whose sums are float32, "
            f"and the gate is {settings.gate!r} and the dtype {settings.dtype!r}; set it to "
            f"{PLAIN!r}."
        )
    if settings.prefix_tokens and settings.table_width > settings.prefix_tokens * settings.width:
        raise UserError(
            f"A puzzle row of width {settings.table_width} does not fit into "
            f"{settings.prefix_tokens} prefix tokens of width {settings.width}; "
            "raise config.model.prefix_tokens."
        )
    if settings.dtype == "float64" and jax.dtypes.canonicalize_dtype("float64") != "float64":
        raise UserError(
            "config.model.dtype is 'float64' and JAX runs without it; choose 'float32', or set "
            "JAX_ENABLE_X64=1."
        )


def check_training(
    settings: ModelSettings, chains: int, curriculum: Sequence[tuple[float, int, int]]
) -> None:
    """Refuses ways of training that a model of these settings cannot follow.

    Args:
      settings: that `check_model` accepts.
      chains: see `train.chains`.
      curriculum: see `train.curriculum`.

    Raises:
      UserError: it has no depth for a curriculum, or no z for chains.
    """
    variant, kind, n = VARIANTS[settings.kind], settings.kind, settings.n
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
    if chains > 1 and settings.start != "random":
        raise UserError(
            f"config.chains is {chains}, and chains differ in nothing but where they start; set "
            "config.model.start to 'random'."
        )
    if chains > 1 and len(variant.state_names(n)) < 2:
        raise UserError(
            f"config.chains is {chains}, and chains differ in z, which a {kind!r} model lacks; set "
            "it to 1."
        )


def get_model(config: ModelConfig) -> Model:
    """The model that `config.kind` names.

    Raises:
      UserError: there is none, or its settings do not go together.
    """
    check_model(config)
    MIXERS.get(config.mixer).check_shapes(config)
    return Model(config, VARIANTS[config.kind])
