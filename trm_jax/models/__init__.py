"""The models and their registries: kinds (`KINDS`), variants (`VARIANTS`) and mixers (`MIXERS`)."""

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax

from trm_jax.core.errors import UserError
from trm_jax.models.lattice import lattice_model
from trm_jax.models.lattice.lattice_model import LatticeModel
from trm_jax.models.lattice.settings import LatticeSettings
from trm_jax.models.mixers import MIXERS
from trm_jax.models.model import Model
from trm_jax.models.settings import (
    FUSED,
    PLAIN,
    WRITTEN_OUT,
    LossConfig,
    ModelConfig,
    ModelSettings,
)
from trm_jax.models.variants import VARIANTS, Variant

AnyModel = Model | LatticeModel

MAX_LATENTS = 64
"""Max n of models with one latent per update, where each update reads all of them."""


class Kind(NamedTuple):
    """A value of `config.model.kind`.

    Attributes:
      make: makes the model from its config.
      check: refuses settings that the model cannot use.
      variant: how the model recurses; None outside the family of TRM and HRM.
    """

    make: Callable[[ModelConfig], AnyModel]
    check: Callable[[ModelSettings], None]
    variant: Variant | None = None


def check_model(settings: ModelSettings) -> None:
    """Checks that a model's settings are consistent with each other, for puzzles of any shape.

    Raises:
      UserError: the kind or mixer is unknown, or cannot use the settings.
    """
    if settings.kind not in KINDS:
        raise UserError(
            f"config.model.kind is {settings.kind!r}; choose one of {', '.join(KINDS)}."
        )
    KINDS[settings.kind].check(settings)
    _check_written_out(settings)
    if settings.dtype == "float64" and jax.dtypes.canonicalize_dtype("float64") != "float64":
        raise UserError(
            "config.model.dtype is 'float64', which is disabled in JAX; choose 'float32', or set "
            "JAX_ENABLE_X64=1."
        )


def _check_written_out(settings: ModelSettings) -> None:
    """Refuses programs that would take hours to trace."""
    variant, n = KINDS[settings.kind].variant, settings.n
    if variant and variant.state_names(1) != variant.state_names(2) and n > MAX_LATENTS:
        raise UserError(
            f"config.model.n is {n}, which is the number of latents of a {settings.kind!r} model; "
            f"it must be {MAX_LATENTS} or less."
        )
    depth = max(settings.layers, settings.y_layers)
    if settings.unroll and depth * n > WRITTEN_OUT:
        raise UserError(
            f"config.model.n {n} times {depth} layers are {depth * n} unrolled blocks, and more "
            f"than {WRITTEN_OUT} take hours to compile; lower one of them, or set "
            "config.model.unroll to False."
        )


def _check_recursion(settings: ModelSettings) -> None:
    """Refuses settings that the recursive models (TRM, HRM and variants) cannot use."""
    for name, default in LatticeSettings().to_dict().items():
        value = getattr(settings.lattice, name)
        if value != default:
            raise UserError(
                f"config.model.lattice.{name} is {value!r}, and config.model.kind {settings.kind!r}"
                f" does not use it; set it to {default!r}, or the kind to {lattice_model.KIND!r}."
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
            f"config.model.kernels is {FUSED!r}, which needs gate 'silu' and no float64, and the "
            f"gate is {settings.gate!r} and the dtype {settings.dtype!r}; set "
            f"config.model.kernels to {PLAIN!r}."
        )
    if settings.prefix_tokens and settings.table_width > settings.prefix_tokens * settings.width:
        raise UserError(
            f"A puzzle row of width {settings.table_width} does not fit into "
            f"{settings.prefix_tokens} prefix tokens of width {settings.width}; "
            "raise config.model.prefix_tokens."
        )


KINDS: dict[str, Kind] = {
    name: Kind(functools.partial(Model, variant=variant), _check_recursion, variant)
    for name, variant in VARIANTS.items()
} | {lattice_model.KIND: Kind(LatticeModel, lattice_model.check)}


def check_training(
    settings: ModelSettings,
    chains: int,
    curriculum: Sequence[tuple[float, int, int]],
    loss: LossConfig,
) -> None:
    """Checks that a model can be trained with several chains or a curriculum.

    Args:
      settings: settings that `check_model` accepts.
      chains: number of chains, see `train.chains`.
      curriculum: stages, see `train.curriculum`.
      loss: loss of a supervision step, for models that are trained on those.

    Raises:
      UserError: the model has no depth to vary, no z for chains to differ in, or a loss of its own.
    """
    variant, kind, n = KINDS[settings.kind].variant, settings.kind, settings.n
    if variant is None:
        return _check_pool_training(kind, chains, curriculum, loss)
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
            f"config.chains is {chains}, and chains differ only in their initial states; set "
            "config.model.start to 'random'."
        )
    if chains > 1 and len(variant.state_names(n)) < 2:
        raise UserError(
            f"config.chains is {chains}, and chains differ in z, which a {kind!r} model lacks; set "
            "it to 1."
        )


def _check_pool_training(
    kind: str, chains: int, curriculum: Sequence[tuple[float, int, int]], loss: LossConfig
) -> None:
    """Checks the same for a model that is trained on a pool of its own states."""
    for name, default in LossConfig().to_dict().items():
        value = getattr(loss, name)
        if value != default:
            raise UserError(
                f"config.loss.{name} is {value!r}, and the loss of a {kind!r} model is set by "
                f"config.model.{kind}.*; set it to {default!r}."
            )
    if chains > 1:
        raise UserError(
            f"config.chains is {chains}, and a {kind!r} model is trained on single states; set it "
            "to 1."
        )
    if any(T != 1 for _, T, _ in curriculum):
        raise UserError(
            f"config.curriculum changes T, which a {kind!r} model does not use; keep T = 1 in "
            "all stages."
        )


def get_model(config: ModelConfig) -> AnyModel:
    """Makes the model of a config.

    Raises:
      UserError: the kind is unknown, or settings are inconsistent.
    """
    check_model(config)
    return KINDS[config.kind].make(config)
