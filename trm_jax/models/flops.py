"""FLOPs by formula; XLA's own count includes the body of a loop only once."""

from trm_jax.models import get_model
from trm_jax.models.settings import ModelConfig


def step_flops(config: ModelConfig, batch_size: int, train: bool, chains: int = 1) -> int:
    """FLOPs (twice the multiply-adds) of one step of a batch, see each model's `step_flops`."""
    return get_model(config).step_flops(batch_size, train, chains)
