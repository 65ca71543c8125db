"""Published peak figures of TPUs and GPUs, and the shares of them that were measured."""

from typing import NamedTuple


class Chip(NamedTuple):
    """Figures of a chip.

    Attributes:
      flops: peak FLOP/s in bfloat16, without sparsity.
      memory: bytes of HBM available to a program.
      memory_bandwidth: bytes of HBM per second.
      interconnect: bytes per second that a chip can send, over all its links.
      network: bytes per second that a machine can send to others; 0 if the interconnect spans
        machines.
      product_share: share of `flops` that a large matrix product reaches; 1 if not measured.
      copy_share: share of `memory_bandwidth` that a large copy reaches; 1 if not measured.
    """

    flops: float
    memory: int
    memory_bandwidth: float
    interconnect: float
    network: float = 0.0
    product_share: float = 1.0
    copy_share: float = 1.0


# FLOP/s, HBM bandwidth and interconnect: Google's pages on each TPU version ("key chip
# specifications", per chip): v4 275 TFLOPs, 1200 GBps, 6 links of 50 GBps; v5e 197, 819 GBps, 1600
# Gbps; v5p 459, 2765 GBps, 4800 Gbps; v6e 918, 1640 GBps, 3584 Gbps. Where the pages changed over
# time the larger figure is used, since lower bounds of time are computed from it.
# Memory: what libtpu 0.0.42 reports as available for a program that is too large; the HBM itself
# is 32, 16, 96 and 32 GiB.
TPUS = {
    "v4": Chip(275e12, int(30.75 * 2**30), 1200e9, 300e9),
    "v5e": Chip(197e12, int(15.75 * 2**30), 819e9, 200e9),
    "v5p": Chip(459e12, int(95.74 * 2**30), 2765e9, 600e9),
    "v6e": Chip(918e12, int(31.25 * 2**30), 1640e9, 448e9),
}

RUNTIME = 2**30
"""Bytes of a GPU that CUDA, cuBLAS, cuDNN and NCCL use themselves (approximate)."""
POOL = 0.75
"""Share of a GPU's memory that JAX reserves for its arrays by default."""
H100_REACHED = (762e12 / 989.5e12, 2600e9 / 3350e9)
"""Shares of the peaks that an H100 reached: 762 TFLOP/s in a bfloat16 product of 8192 x 8192
matrices, and 2.6 TB/s, which is the memory traffic of whole train steps divided by their measured
times. They are assumed for the other GPUs."""


def _gpu(
    flops: float, memory: int, bandwidth: float, interconnect: float, network: float = 0.0
) -> Chip:
    """A GPU with `memory` bytes as its driver reports them."""
    return Chip(flops, memory - RUNTIME, bandwidth, interconnect, network, *H100_REACHED)


# NVIDIA's data sheets. FLOP/s are without sparsity; NVLink (L4 and RTX 4090: PCIe 4.0) in one
# direction. The network is that of a machine with eight GPUs: one adapter of 400 Gb/s per GPU,
# 200 Gb/s for A100. Memory as the drivers report it.
GPUS = {
    "h100": _gpu(989.5e12, 84942979072, 3350e9, 450e9, 400e9),
    "h200": _gpu(989.5e12, 151397597184, 4800e9, 450e9, 400e9),
    "b200": _gpu(2250e12, 191514411008, 8000e9, 900e9, 400e9),
    "a100": _gpu(312e12, 85100068864, 2039e9, 300e9, 200e9),
    "a100_40gb": _gpu(312e12, 42298834944, 1555e9, 300e9, 200e9),
    "l4": _gpu(121e12, 23034 * 2**20, 300e9, 32e9),
    "rtx4090": _gpu(165.2e12, 24564 * 2**20, 1008e9, 32e9),
}
CHIPS = TPUS | GPUS
