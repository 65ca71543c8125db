"""Descriptions of GPUs for XLA, to compile for them without having one."""

import importlib.util
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax

from trm_jax.core.errors import UserError
from trm_jax.plan.chips import GPUS, RUNTIME

PLUGINS = ("xla_cuda12", "xla_cuda13")
"""Packages in `jax_plugins`; each contains the compiler."""
CUDNN = (9, 10, 0)
"""Version of cuDNN that programs are compiled for."""


class Target(NamedTuple):
    """Properties of a GPU for XLA's target description, in addition to `chips.GPUS`.

    Attributes:
      title: name reported by the driver.
      capability: CUDA compute capability, major and minor.
      cores: number of streaming multiprocessors.
      fpus: float32 units per multiprocessor.
      shared: bytes of shared memory per multiprocessor; a block may use 1 KiB less.
      l2: bytes of the L2 cache.
      clock: clock rate in GHz.
      threads: maximum number of threads per multiprocessor.
    """

    title: str
    capability: tuple[int, int]
    cores: int
    fpus: int
    shared: int
    l2: int
    clock: float
    threads: int = 2048


# NVIDIA's data sheets and the table of compute capabilities in its CUDA programming guide.
TARGETS = {
    "h100": Target("NVIDIA H100 80GB HBM3", (9, 0), 132, 128, 228 * 2**10, 50 * 2**20, 1.98),
    "h200": Target("NVIDIA H200", (9, 0), 132, 128, 228 * 2**10, 50 * 2**20, 1.98),
    "b200": Target("NVIDIA B200", (10, 0), 148, 128, 228 * 2**10, 132644864, 1.965),
    "a100": Target("NVIDIA A100-SXM4-80GB", (8, 0), 108, 64, 164 * 2**10, 40 * 2**20, 1.41),
    "a100_40gb": Target("NVIDIA A100-SXM4-40GB", (8, 0), 108, 64, 164 * 2**10, 40 * 2**20, 1.41),
    "l4": Target("NVIDIA L4", (8, 9), 58, 128, 100 * 2**10, 48 * 2**20, 2.04, 1536),
    "rtx4090": Target(
        "NVIDIA GeForce RTX 4090", (8, 9), 128, 128, 100 * 2**10, 72 * 2**20, 2.52, 1536
    ),
}


def target_config(name: str) -> str:
    """XLA's target description of a GPU, as a text protocol buffer."""
    target, chip = TARGETS[name], GPUS[name]
    fields = {
        "threads_per_block_limit": 1024,
        "threads_per_warp": 32,
        "threads_per_core_limit": target.threads,
        "shared_memory_per_block": 48 * 2**10,
        "shared_memory_per_block_optin": target.shared - 2**10,
        "shared_memory_per_core": target.shared,
        "registers_per_core_limit": 2**16,
        "registers_per_block_limit": 2**16,
        "core_count": target.cores,
        "fpus_per_core": target.fpus,
        "block_dim_limit_x": 2**31 - 1,
        "block_dim_limit_y": 2**16 - 1,
        "block_dim_limit_z": 2**16 - 1,
        "memory_bandwidth": int(chip.memory_bandwidth),
        "device_memory_size": chip.memory + RUNTIME,
        "l2_cache_size": target.l2,
        "clock_rate_ghz": target.clock,
    }
    lines = [f"  {field}: {number}" for field, number in fields.items()]
    major, minor = target.capability
    lines.append(f"  cuda_compute_capability {{ major: {major} minor: {minor} }}")
    cudnn = "major: {} minor: {} patch: {}".format(*CUDNN)
    return "\n".join(
        [
            "gpu_device_info {",
            *lines,
            "}",
            'platform_name: "CUDA"',
            f"dnn_version_info {{ {cudnn} }}",
            f'device_description_str: "{target.title}"',
        ]
    )


def has_plugin() -> bool:
    """Whether JAX's CUDA plugin, which contains the compiler, is installed."""
    if importlib.util.find_spec("jax_plugins") is None:
        return False
    return any(importlib.util.find_spec(f"jax_plugins.{name}") for name in PLUGINS)


def gpu_devices(name: str, machines: int, each: int) -> Sequence[jax.Device]:
    """Devices that programs can be compiled for, but cannot run on.

    Sets JAX itself to the CPU: no GPU is needed, and existing ones are not used.

    Args:
      name: key of TARGETS.
      machines: number of machines, each with one process.
      each: number of GPUs per machine.

    Raises:
      UserError: the plugin is not installed, or does not accept the description.
    """
    if not has_plugin():
        raise UserError(
            "trm plan compiles for GPUs with JAX's CUDA plugin, which is not installed; "
            "`pip install 'jax[cuda12]'` installs it (Linux only; no GPU is needed)."
        )
    jax.config.update("jax_platforms", "cpu")
    from jax.experimental import topologies

    try:
        described: Any = topologies.get_topology_desc(
            platform="cuda", topology=f"1x{machines}x{each}", target_config=target_config(name)
        )
    except Exception as error:  # JaxRuntimeError, ValueError or NotImplementedError, by version
        reason = " ".join(str(error).split())
        raise UserError(f"JAX's CUDA plugin cannot describe {name}: {reason}") from error
    return described.devices
