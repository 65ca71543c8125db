"""What bounds a program: its products, its traffic or its exchanges; and what to do about it."""

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
      chip: products and copies reach a share of its peaks, if one has been measured.
      flops: of the products of one device.
      moved: bytes through the memory of one device.
      sent: exchanges; one in a loop counts once.
    """
    return {
        PRODUCTS: flops / (chip.flops * chip.product_share),
        TRAFFIC: moved / (chip.memory_bandwidth * chip.copy_share),
        EXCHANGES: sum(exchange.sent() for exchange in sent) / chip.interconnect,
    }


def slowest(seconds: dict[str, float]) -> str:
    """Which of them bounds the program."""
    return max(seconds, key=lambda part: seconds[part])


def source(chip: Chip) -> str:
    """Whose rates these are, in words."""
    return "peak rates" if chip.copy_share == 1 else "the shares of peak rates measured on an H100"


def advice(facts: dict[str, Any]) -> list[str]:
    """What to change or to set for a program on a GPU, in sentences.

    Args:
      facts: of a program: `fits`, `memory`, `available`, `options`, `slowest`.
    """
    found = []
    card = facts["available"] + RUNTIME
    if facts["fits"] and facts["memory"]["peak"] > POOL * card:
        share = int(100 * facts["available"] / card) / 100
        found.append(
            f"Set XLA_PYTHON_CLIENT_MEM_FRACTION={share}: unless told otherwise, JAX takes "
            f"{POOL:.0%} of a GPU's memory, which is not enough here."
        )
    for option, value in facts["options"].items():
        found.append(
            f"Set XLA_FLAGS=--{option}={str(value).lower()} if XLA fails on the GPU, too: here it "
            "found no tiles for one of Triton's products, and compiled without Triton's."
        )
    return [*found, _WHAT_HELPS[facts["slowest"]]]
