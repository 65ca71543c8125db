"""Floating-point operations by formula: XLA's own count takes the body of a loop once."""

from trm_jax.models import get_model
from trm_jax.models.settings import ModelConfig


def step_flops(config: ModelConfig, batch_size: int, train: bool, chains: int = 1) -> int:
    """Multiply-adds times two of one step of a batch, see the `step_flops` of each model."""
    return get_model(config).step_flops(batch_size, train, chains)
