"""Which devices the program that is being traced will run on, and what kernels need of it."""

from typing import Any

import jax
from jax.experimental.pallas import triton


def platform() -> str:
    """Platform of those devices: "cpu", "gpu" or "tpu".

    Inside `shard_map`, where everything over batch slots runs, it is that of the mesh, which may be
    of devices that are not here (`plan.compiled`); elsewhere JAX's default.
    """
    device = jax.sharding.get_abstract_mesh().abstract_device
    name: str = jax.default_backend() if device is None else device.platform
    return "gpu" if name in ("cuda", "rocm") else name


def options(num_stages: int) -> dict[str, Any]:
    """Of a `pallas_call`: compiled by Triton for GPUs; elsewhere interpreted, slowly, for tests."""
    params = triton.CompilerParams(num_warps=8, num_stages=num_stages)
    return {"interpret": platform() != "gpu", "compiler_params": params}
