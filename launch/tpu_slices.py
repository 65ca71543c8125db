"""Facts about TPU slices: chips, hosts, images, and GKE's names.

They are from the providers' public pages of November 2026; no slice was created.
"""

import re
from dataclasses import dataclass

from .errors import LaunchError


@dataclass(frozen=True)
class Generation:
    """A generation of TPUs.

    Attributes:
      prefix: prefix of accelerator types in the Cloud TPU API, before a number; empty if the API
        does not serve it.
      cores: what the number counts, per chip: 1 for chips, 2 for cores.
      alone: maximum number of chips of a slice with a single host.
      chips: chips per host in larger slices.
      image: runtime version of virtual machines; its Python is too old for JAX.
      gke: name in GKE's node selectors.
      dimensions: number of dimensions of a topology, such as 2 for "4x4".
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
    """A slice: a number of chips of one generation."""

    generation: Generation
    chips: int

    @property
    def hosts(self) -> int:
        """Number of hosts, each with one process."""
        return 1 if self.chips <= self.generation.alone else self.chips // self.generation.chips

    @property
    def chips_per_host(self) -> int:
        """Number of chips per host."""
        return self.chips // self.hosts


def of_accelerator(accelerator: str) -> Slice:
    """The slice of an accelerator type of the Cloud TPU API, such as "v5litepod-16".

    Raises:
      LaunchError: the queued-resources API has no such type.
    """
    match = re.fullmatch(r"([a-z0-9]+)-([1-9][0-9]*)", accelerator)
    kinds = {generation.prefix: generation for generation in GENERATIONS if generation.prefix}
    if match is None or match[1] not in kinds:
        raise LaunchError(
            f"tpu: accelerator {accelerator!r} is unknown; give one of {', '.join(kinds)} and a "
            "number, such as v5litepod-16 for 16 chips of v5e (queued resources do not serve "
            "later TPUs: use GKE)."
        )
    generation, number = kinds[match[1]], int(match[2])
    return _checked(generation, number // generation.cores, number % generation.cores, accelerator)


def of_topology(kind: str, topology: str) -> Slice:
    """The slice of GKE's accelerator and topology, such as "tpu-v5-lite-podslice" and "4x4".

    Raises:
      LaunchError: the accelerator is unknown, or the topology does not fit it.
    """
    kinds = {generation.gke: generation for generation in GENERATIONS}
    if kind not in kinds:
        raise LaunchError(f"gke: accelerator {kind!r} is unknown; give one of {', '.join(kinds)}.")
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
            f"{text!r} is not a whole slice: {generation.gke} has {generation.chips} chips per host"
            + (f", and its number counts {generation.cores} cores per chip." if rest else ".")
        )
    return Slice(generation, chips)
