"""Which devices the program that is being traced will run on, and what kernels need of it."""

from typing import Any

import jax
from jax.experimental.pallas import triton

from trm_jax.models.settings import FUSED


def platform() -> str:
    """Platform of those devices: "cpu", "gpu" or "tpu".

    Inside `shard_map`, where everything over batch slots runs, it is that of the mesh, which may be
    of devices that are not here (`plan.compiled`); elsewhere JAX's default.
    """
    device = jax.sharding.get_abstract_mesh().abstract_device
    name: str = jax.default_backend() if device is None else device.platform
    return "gpu" if name in ("cuda", "rocm") else name


def fused(kernels: str) -> bool:
    """Whether layers with this `config.model.kernels` take kernels here: on GPUs alone."""
    return kernels == FUSED and platform() == "gpu"


def is_recent() -> bool:
    """Whether a GPU has what cuDNN's attention needs; one that is not here is taken to have it."""
    if jax.default_backend() != "gpu":
        return True
    return float(jax.local_devices()[0].compute_capability) >= 8


def options(num_stages: int) -> dict[str, Any]:
    """Of a `pallas_call`: compiled by Triton for GPUs; elsewhere interpreted, slowly, for tests."""
    params = triton.CompilerParams(num_warps=8, num_stages=num_stages)
    return {"interpret": platform() != "gpu", "compiler_params": params}
