"""Floating-point operations by formula: XLA's own count takes the body of a loop once."""

from trm_jax.models import get_model
from trm_jax.models.settings import ModelConfig


def step_flops(config: ModelConfig, batch_size: int, train: bool, chains: int = 1) -> int:
    """Multiply-adds times two of the matrix products of one supervision step of a batch.

    A backward pass counts as two forward ones. TRM does T (n + 1) network evaluations forward and
    the last n + 1 of them backward. The continue loss looks one more step ahead, and several chains
    compete in a step of all of them, before the winner takes it. What `remat` computes again is not
    counted.
    """
    model = get_model(config)
    forward, backward = model.variant.updates(config.T, config.n)
    depths = [config.depth(network) for network in model.variant.networks]
    ahead = 2 if train and model.learns_to_continue else 1
    ahead += chains if chains > 1 else 0
    blocks = sum(depth * ahead * calls for depth, calls in zip(depths, forward, strict=True))
    if train:
        blocks += sum(depth * 2 * calls for depth, calls in zip(depths, backward, strict=True))
    head = model.mixer.answer_flops(config) * (ahead + (2 if train else 0))
    return batch_size * (blocks * model.mixer.block_flops(config) + head)
