"""TPU slices by name, and devices to compile for that nobody has to have."""

import importlib.util
import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax

from trm_jax.core.errors import UserError


class Chip(NamedTuple):
    """What the vendor publishes of a chip, and what its compiler leaves to a program.

    Attributes:
      flops: peak FLOP/s in bfloat16.
      memory: bytes of HBM that a program may use.
      memory_bandwidth: bytes of HBM per second.
      interconnect: bytes per second that a chip can send, over all its links.
    """

    flops: float
    memory: int
    memory_bandwidth: float
    interconnect: float


class Topology(NamedTuple):
    """A slice of one kind of chip; each chip is one device.

    Attributes:
      name: as the compiler has it, for example "v5e:4x4".
      accelerator: as the cloud has it, for example "v5e-16".
      chip: key of CHIPS.
      devices: how many.
    """

    name: str
    accelerator: str
    chip: str
    devices: int


# FLOP/s, HBM bandwidth and interconnect: Google's pages on each TPU version ("key chip
# specifications", per chip): v4 275 TFLOPs, 1200 GBps, 6 links of 50 GBps; v5e 197, 819 GBps, 1600
# Gbps; v5p 459, 2765 GBps, 4800 Gbps; v6e 918, 1640 GBps, 3584 Gbps. Where the pages changed over
# time the larger figure stands here, since a lower bound of time is made of it.
# Memory: what libtpu 0.0.42 says is available when a program is too large; the HBM itself is 32,
# 16, 96 and 32 GiB.
CHIPS = {
    "v4": Chip(275e12, int(30.75 * 2**30), 1200e9, 300e9),
    "v5e": Chip(197e12, int(15.75 * 2**30), 819e9, 200e9),
    "v5p": Chip(459e12, int(95.74 * 2**30), 2765e9, 600e9),
    "v6e": Chip(918e12, int(31.25 * 2**30), 1640e9, 448e9),
}
FLAT = ("1x1", "2x2", "2x4", "4x4", "4x8", "8x8", "8x16", "16x16")
DEEP = ("2x2x1", "2x2x2", "2x2x4", "2x4x4", "4x4x4", "4x4x8", "4x8x8")
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
    return found


KNOWN = _known()


def find(name: str) -> Topology:
    """A topology by either of its names.

    Raises:
      UserError: there is none of that name.
    """
    wanted = name.lower().replace("v5litepod-", "v5e-")
    for topology in KNOWN:
        if wanted in (topology.name, topology.accelerator):
            return topology
    names = ", ".join(f"{known.name} ({known.accelerator})" for known in KNOWN)
    raise UserError(f"--topology {name!r} is not known; the known ones are {names}.")


def devices(topology: Topology) -> Sequence[jax.Device]:
    """Its devices, for which programs can be compiled and on which none can run.

    JAX itself is set to the CPU: TPUs need not be there, and are left alone where they are.

    Raises:
      UserError: libtpu, the compiler, is missing or refuses.
    """
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
