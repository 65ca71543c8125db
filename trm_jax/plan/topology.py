"""TPU slices and GPUs by name, and devices to compile for that nobody has to have."""

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
      name: a TPU slice as the compiler has it, for example "v5e:4x4"; GPUs as "h100:8", on several
        machines as "h100:2x8".
      accelerator: as the cloud has it, for example "v5e-16" or "h100-16".
      chip: key of `chips.CHIPS`.
      devices: how many.
      machines: of GPUs, how many there are; 1 for a slice.
    """

    name: str
    accelerator: str
    chip: str
    devices: int
    machines: int = 1


FLAT = ("1x1", "2x2", "2x4", "4x4", "4x8", "8x8", "8x16", "16x16")
DEEP = ("2x2x1", "2x2x2", "2x2x4", "2x4x4", "4x4x4", "4x4x8", "4x8x8")
MACHINE = 8
"""GPUs of a machine."""
GPU_COUNTS = (1, 2, 4, 8, 16, 32, 64)
_SHAPES = {"v4": DEEP, "v5e": FLAT, "v5p": DEEP, "v6e": FLAT}
# A machine without TPUs: neither ask the cloud what it is, nor lock the library for one process.
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
            # v4-N and v5p-N count TensorCores, of which a chip has two; v5e-N and v6e-N count chips
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
    """A topology by either of its names; a GPU's own name is for one of it.

    Raises:
      UserError: there is none of that name.
    """
    wanted = name.lower().replace("v5litepod-", "v5e-")
    for topology in KNOWN:
        if wanted in (topology.name, topology.accelerator):
            return topology
        if wanted in GPUS and wanted == topology.chip and topology.devices == 1:
            return topology
    names = ", ".join(f"{known.name} ({known.accelerator})" for known in KNOWN)
    raise UserError(f"--topology {name!r} is not known; the known ones are {names}.")


def devices(topology: Topology) -> Sequence[jax.Device]:
    """Its devices, for which programs can be compiled and on which none can run.

    JAX itself is set to the CPU: accelerators need not be there, and are left alone where they are.

    Raises:
      UserError: the compiler, libtpu or JAX's CUDA plugin, is missing or refuses.
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
        more["chip_config_name"] = "megacore"  # else every chip is two devices
    if topology.devices == 1:
        more["chips_per_host_bounds"] = (1, 1, 1)
    try:
        described: Any = topologies.get_topology_desc(
            platform="tpu", topology_name=topology.name, **more
        )
    except Exception as error:  # JaxRuntimeError or ValueError, by version
        reason = " ".join(str(error).split())
        raise UserError(f"libtpu cannot describe {topology.name}: {reason}") from error
    return described.devices
