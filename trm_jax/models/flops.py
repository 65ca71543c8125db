"""Floating-point operations by formula: XLA's own count takes the body of a loop once."""

from trm_jax.core.grids import FIRST_DIGIT
from trm_jax.core.types import ModelConfig
from trm_jax.models import get_model
from trm_jax.models.layers import inner_width


def block_flops(config: ModelConfig) -> int:
    """Multiply-adds times two of the matrix products of one block and one example."""
    L, D, field = config.tokens, config.width, config.field_width
    flops = 2 * L * 3 * D * inner_width(field, config.expansion)
    if config.mixer == "attention":
        return flops + 2 * L * 4 * D**2 + 4 * L**2 * D
    flops += 2 * D * 3 * L * inner_width(L, config.expansion)
    return flops + (2 * L * D * field if config.mixer == "digits" else 0)


def answer_flops(config: ModelConfig) -> int:
    """The same of the head that reads the answer."""
    if config.mixer == "digits":
        return 2 * config.tokens * (config.width + FIRST_DIGIT * config.field_width)
    return 2 * config.tokens * config.width * config.vocab


def step_flops(config: ModelConfig, batch_size: int, train: bool, chains: int = 1) -> int:
    """The same of one supervision step of a batch; a backward pass counts as two forward ones.

    TRM does T (n + 1) network evaluations forward and the last n + 1 of them backward. The
    continue loss looks one more step ahead, and several chains compete in a step of all of them,
    before the winner takes it. What `remat` computes again is not counted.
    """
    model = get_model(config)
    forward, backward = model.variant.updates(config.T, config.n)
    depths = [config.depth(network) for network in model.variant.networks]
    ahead = 2 if train and model.learns_to_continue else 1
    ahead += chains if chains > 1 else 0
    blocks = sum(depth * ahead * calls for depth, calls in zip(depths, forward, strict=True))
    if train:
        blocks += sum(depth * 2 * calls for depth, calls in zip(depths, backward, strict=True))
    head = answer_flops(config) * (ahead + (2 if train else 0))
    return batch_size * (blocks * block_flops(config) + head)
