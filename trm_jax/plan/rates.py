"""The bound of a program's time: matrix products, memory traffic or communication."""

from typing import Any

from trm_jax.plan.chips import POOL, RUNTIME, Chip
from trm_jax.plan.compiled import Collective

PRODUCTS, TRAFFIC, EXCHANGES = "products", "traffic", "exchanges"
_WHAT_HELPS = {
    PRODUCTS: "Fewer FLOPs or more GPUs make it faster.",
    TRAFFIC: "Kernels that move less, or more GPUs, make it faster.",
    EXCHANGES: "Fewer GPUs, or a larger config.batch_size, use each GPU better.",
}


def rates(chip: Chip, flops: float, moved: int, sent: list[Collective]) -> dict[str, float]:
    """Seconds that each part of a program takes by itself.

    Args:
      chip: the chip, with the measured shares of its peaks.
      flops: FLOPs of the matrix products of one device.
      moved: memory traffic of one device in bytes.
      sent: collectives; one in a loop counts once.

    Returns:
      Seconds for PRODUCTS, TRAFFIC and EXCHANGES (communication).
    """
    return {
        PRODUCTS: flops / (chip.flops * chip.product_share),
        TRAFFIC: moved / (chip.memory_bandwidth * chip.copy_share),
        EXCHANGES: sum(exchange.sent() for exchange in sent) / chip.interconnect,
    }


def slowest(seconds: dict[str, float]) -> str:
    """The part that takes longest, which bounds the program."""
    return max(seconds, key=lambda part: seconds[part])


def source(chip: Chip) -> str:
    """A description of the rates that `rates` uses for a chip."""
    return "peak rates" if chip.copy_share == 1 else "the shares of peak rates measured on an H100"


def advice(facts: dict[str, Any]) -> list[str]:
    """Advice for a program on a GPU, in sentences.

    Args:
      facts: facts of the program: `fits`, `memory`, `available`, `options`, `slowest`.
    """
    found = []
    card = facts["available"] + RUNTIME
    if facts["fits"] and facts["memory"]["peak"] > POOL * card:
        share = int(100 * facts["available"] / card) / 100
        found.append(
            f"Set XLA_PYTHON_CLIENT_MEM_FRACTION={share}: by default JAX takes {POOL:.0%} of a "
            "GPU's memory, which is not enough here."
        )
    for option, value in facts["options"].items():
        found.append(
            f"Set XLA_FLAGS=--{option}={str(value).lower()} if XLA fails on the GPU as well: here "
            "it found no tile sizes for a Triton matmul, and compiled without Triton."
        )
    return [*found, _WHAT_HELPS[facts["slowest"]]]
