"""The platform that the program being traced will run on, and what kernels require of it."""

from typing import Any

import jax
from jax.experimental.pallas import triton

from trm_jax.models.settings import FUSED


def platform() -> str:
    """Platform of the target devices: "cpu", "gpu" or "tpu".

    Inside `shard_map`, where everything over batch slots runs, it is the mesh's platform, which may
    be a planned topology (`plan.compiled`); elsewhere it is JAX's default.
    """
    device = jax.sharding.get_abstract_mesh().abstract_device
    name: str = jax.default_backend() if device is None else device.platform
    return "gpu" if name in ("cuda", "rocm") else name


def fused(kernels: str) -> bool:
    """Whether layers with this `config.model.kernels` use fused kernels here: only on GPUs."""
    return kernels == FUSED and platform() == "gpu"


def is_recent() -> bool:
    """Whether a GPU supports cuDNN's attention; assumed of GPUs of a planned topology."""
    if jax.default_backend() != "gpu":
        return True
    return float(jax.local_devices()[0].compute_capability) >= 8


def options(num_stages: int) -> dict[str, Any]:
    """Options of a `pallas_call`: Triton on GPUs; elsewhere the (slow) interpreter, for tests."""
    params = triton.CompilerParams(num_warps=8, num_stages=num_stages)
    return {"interpret": platform() != "gpu", "compiler_params": params}
