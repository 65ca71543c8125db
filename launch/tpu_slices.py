"""What is known of TPU slices: chips, hosts, images, and GKE's names for them.

Checked against the providers' public pages in November 2026; no slice was created.
"""

import re
from dataclasses import dataclass

from .errors import LaunchError


@dataclass(frozen=True)
class Generation:
    """One kind of TPU.

    Attributes:
      prefix: of the Cloud TPU API's accelerator types, before a number; empty if it serves none.
      cores: how many of that number are one chip.
      alone: a slice of up to so many chips is one host that holds them all.
      chips: of each host, in larger slices.
      image: the runtime version for virtual machines; their Python is too old for JAX.
      gke: the node selector's name of the kind.
      dimensions: of a topology, such as 2 for "4x4".
    """

    prefix: str
    cores: int
    alone: int
    chips: int
    image: str
    gke: str
    dimensions: int


GENERATIONS = (
    Generation("v4", 2, 4, 4, "tpu-ubuntu2204-base", "tpu-v4-podslice", 3),
    Generation("v5litepod", 1, 8, 4, "v2-alpha-tpuv5-lite", "tpu-v5-lite-podslice", 2),
    Generation("v5p", 2, 4, 4, "v2-alpha-tpuv5", "tpu-v5p-slice", 3),
    Generation("v6e", 1, 8, 4, "v2-alpha-tpuv6e", "tpu-v6e-slice", 2),
    Generation("", 1, 4, 4, "", "tpu7x", 3),
)


@dataclass(frozen=True)
class Slice:
    """One slice."""

    generation: Generation
    chips: int

    @property
    def hosts(self) -> int:
        """How many machines it is, each running one process."""
        return 1 if self.chips <= self.generation.alone else self.chips // self.generation.chips

    @property
    def chips_per_host(self) -> int:
        """How many chips each of them has."""
        return self.chips // self.hosts


def of_accelerator(accelerator: str) -> Slice:
    """The slice behind an accelerator type of the Cloud TPU API, such as "v5litepod-16".

    Raises:
      LaunchError: there is no such type in the queued-resources API.
    """
    match = re.fullmatch(r"([a-z0-9]+)-([1-9][0-9]*)", accelerator)
    kinds = {generation.prefix: generation for generation in GENERATIONS if generation.prefix}
    if match is None or match[1] not in kinds:
        raise LaunchError(
            f"tpu: accelerator {accelerator!r} is not known; it is one of "
            f"{', '.join(kinds)} and a number, such as v5litepod-16 for 16 chips of v5e "
            "(later TPUs are not served by queued resources: use GKE)."
        )
    generation, number = kinds[match[1]], int(match[2])
    return _checked(generation, number // generation.cores, number % generation.cores, accelerator)


def of_topology(kind: str, topology: str) -> Slice:
    """The slice behind GKE's accelerator and topology, such as "tpu-v5-lite-podslice", "4x4".

    Raises:
      LaunchError: the kind is not known, or the topology does not fit it.
    """
    kinds = {generation.gke: generation for generation in GENERATIONS}
    if kind not in kinds:
        raise LaunchError(
            f"gke: accelerator {kind!r} is not known; it is one of {', '.join(kinds)}."
        )
    generation, chips = kinds[kind], 1
    sides = topology.split("x")
    if len(sides) != generation.dimensions or not all(
        re.fullmatch("[1-9][0-9]*", s) for s in sides
    ):
        raise LaunchError(
            f"gke: topology {topology!r} must be {generation.dimensions} numbers joined by 'x' "
            f"for {kind}, such as {'x'.join('4' * generation.dimensions)}."
        )
    for side in sides:
        chips *= int(side)
    return _checked(generation, chips, 0, topology)


def _checked(generation: Generation, chips: int, rest: int, text: str) -> Slice:
    whole = chips <= generation.alone or chips % generation.chips == 0
    if rest or not whole or chips < 1:
        raise LaunchError(
            f"{text!r} is no whole slice: {generation.gke} has {generation.chips} chips a host"
            + (f", and its number counts {generation.cores} cores a chip." if rest else ".")
        )
    return Slice(generation, chips)
