"""TPU slices and GPUs by name, and devices to compile for without having them."""

import importlib.util
import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax

from trm_jax.core.errors import UserError
from trm_jax.plan.chips import GPUS
from trm_jax.plan.gpus import gpu_devices


class Topology(NamedTuple):
    """A slice of TPUs, or machines with GPUs; each chip is one device.

    Attributes:
      name: the compiler's name of a TPU slice, for example "v5e:4x4"; for GPUs "h100:8", or
        "h100:2x8" on two machines.
      accelerator: the cloud's name, for example "v5e-16" or "h100-16".
      chip: key of `chips.CHIPS`.
      devices: number of devices.
      machines: number of machines with GPUs; 1 for a TPU slice.
    """

    name: str
    accelerator: str
    chip: str
    devices: int
    machines: int = 1


FLAT = ("1x1", "2x2", "2x4", "4x4", "4x8", "8x8", "8x16", "16x16")
DEEP = ("2x2x1", "2x2x2", "2x2x4", "2x4x4", "4x4x4", "4x4x8", "4x8x8")
MACHINE = 8
"""GPUs per machine."""
GPU_COUNTS = (1, 2, 4, 8, 16, 32, 64)
_SHAPES = {"v4": DEEP, "v5e": FLAT, "v5p": DEEP, "v6e": FLAT}
# For machines without TPUs: do not query the cloud's metadata, nor lock libtpu for one process.
_ENVIRONMENT = {
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_ACCELERATOR_TYPE": "v5litepod-8",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
}


def _known() -> list[Topology]:
    found = []
    for chip, shapes in _SHAPES.items():
        for shape in shapes:
            devices = 1
            for side in shape.split("x"):
                devices *= int(side)
            # in v4-N and v5p-N, N counts TensorCores, two per chip; in v5e-N and v6e-N, chips
            cores = devices * (2 if shapes is DEEP else 1)
            found.append(Topology(f"{chip}:{shape}", f"{chip}-{cores}", chip, devices))
    for gpu, properties in GPUS.items():
        for count in GPU_COUNTS:
            machines = -(-count // MACHINE)
            if machines == 1 or properties.network:
                sides = f"{machines}x{MACHINE}" if machines > 1 else str(count)
                found.append(Topology(f"{gpu}:{sides}", f"{gpu}-{count}", gpu, count, machines))
    return found


KNOWN = _known()


def find(name: str) -> Topology:
    """Finds a topology by either of its names; the name of a GPU alone means one of them.

    Raises:
      UserError: there is no topology of that name.
    """
    wanted = name.lower().replace("v5litepod-", "v5e-")
    for topology in KNOWN:
        if wanted in (topology.name, topology.accelerator):
            return topology
        if wanted in GPUS and wanted == topology.chip and topology.devices == 1:
            return topology
    names = ", ".join(f"{known.name} ({known.accelerator})" for known in KNOWN)
    raise UserError(f"--topology {name!r} is unknown; use one of {names}.")


def devices(topology: Topology) -> Sequence[jax.Device]:
    """Devices of a topology that programs can be compiled for, but cannot run on.

    Sets JAX itself to the CPU: no accelerator is needed, and existing ones are not used.

    Raises:
      UserError: the compiler (libtpu, or JAX's CUDA plugin) is not installed, or does not accept
        the topology.
    """
    if topology.chip in GPUS:
        each = topology.devices // topology.machines
        return gpu_devices(topology.chip, topology.machines, each)
    return _slice(topology)


def _slice(topology: Topology) -> Sequence[jax.Device]:
    if importlib.util.find_spec("libtpu") is None:
        raise UserError(
            "trm plan compiles with libtpu, which is not installed; "
            "`pip install 'trm-jax[plan]'` installs it (Linux only; no TPU is needed)."
        )
    for key, value in _ENVIRONMENT.items():
        os.environ.setdefault(key, value)
    jax.config.update("jax_platforms", "cpu")
    from jax.experimental import topologies

    more: dict[str, Any] = {}
    if topology.chip == "v4":
        more["chip_config_name"] = "megacore"  # otherwise each chip is two devices
    if topology.devices == 1:
        more["chips_per_host_bounds"] = (1, 1, 1)
    try:
        described: Any = topologies.get_topology_desc(
            platform="tpu", topology_name=topology.name, **more
        )
    except Exception as error:  # JaxRuntimeError or ValueError, by version
        reason = " ".join(str(error).split())
        raise UserError(
            f"libtpu cannot describe {topology.name} ({reason}); choose another --topology, or "
            "update libtpu."
        ) from error
    return described.devices
