"""Measures the time of a call, the device's matmul rate, and peak memory."""

import resource
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from trm_jax.plan.compiled import memory

WARM_UP = 3
GIB = 2**30
TURNS = 5


def times(call: Callable[[], Any], repeats: int) -> list[float]:
    """Seconds of each of `repeats` calls, after three warm-up calls; waits for each result."""
    found = []
    for _ in range(WARM_UP + repeats):
        start = time.perf_counter()
        jax.block_until_ready(call())
        found.append(time.perf_counter() - start)
    return found[WARM_UP:]


def ceiling(dtype: str, devices: int) -> float:
    """FLOP/s of a large square matmul over all devices, a practical upper bound for a model.

    The matrices are 8192 x 8192 on an accelerator and 2048 x 2048 on a CPU. The rate is measured on
    one device and multiplied by their number, except on CPU, whose virtual devices share its cores.

    Args:
      dtype: dtype of the model's activations; the precision is JAX's default, as in the model.
      devices: number of devices of the mesh.
    """
    on_cpu = jax.default_backend() == "cpu"
    size, calls = (2048, 1) if on_cpu else (8192, 10)
    keys = jax.random.split(jax.random.key(0))
    a, b = (jax.random.normal(key, (size, size), dtype) for key in keys)
    multiply = jax.jit(jnp.matmul)
    # several calls in a row hide the time to dispatch one
    seconds = statistics.median(times(lambda: [multiply(a, b) for _ in range(calls)], TURNS))
    return 2 * size**3 * calls / seconds * (1 if on_cpu else devices)


def peak_memory(compiled: jax.stages.Compiled) -> dict[str, float]:
    """Peak memory in GiB, as far as it is available.

    Returns:
      `program_peak_gib`, arguments, results and temporary memory of the compiled program on each
      device, by its compiler; `device_peak_gib`, peak memory in use on the first device of this
      process, if the device reports it; on CPU `process_peak_gib`, peak resident memory of this
      process, including compilation.
    """
    sizes = memory(compiled)
    found = {"program_peak_gib": (sizes["peak"] - sizes["program"]) / GIB}
    device = jax.local_devices()[0]
    told = device.memory_stats() or {}
    if "peak_bytes_in_use" in told:
        found["device_peak_gib"] = told["peak_bytes_in_use"] / GIB
    if device.platform == "cpu":
        unit = 1 if sys.platform == "darwin" else 1024
        found["process_peak_gib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / GIB
    return {key: round(value, 4) for key, value in found.items()}
