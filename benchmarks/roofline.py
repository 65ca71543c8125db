#!/usr/bin/env python3
r"""Lower bounds of the time of an update by number of chips: compute, memory, interconnect.

    python benchmarks/roofline.py [--config experiments/sudoku.py:extreme] [--batch 768]

prints the table of experiments/performance.md. Nothing is compiled or timed. Times are computed
from vendors' peak figures, which no program reaches; that page lists what is left out.
"""

import sys
from collections.abc import Sequence
from typing import NamedTuple

import jax
from absl import flags

from trm_jax.commands import common
from trm_jax.config.arguments import config_file, rewritten
from trm_jax.models import Model, get_model
from trm_jax.models.flops import step_flops
from trm_jax.models.settings import ModelConfig
from trm_jax.plan.chips import CHIPS, Chip

# more than 8 H100s communicate over slower networks, which differ
MACHINES = {
    "H100": (CHIPS["h100"], (1, 4, 8)),
    "v5e": (CHIPS["v5e"], (1, 4, 8, 16, 64, 256)),
    "v6e": (CHIPS["v6e"], (1, 4, 8, 16, 64, 256)),
}
ACTIVATION = 2
"""Size of an activation (bfloat16) in bytes."""
STATE_TRAFFIC = 9 * 4
"""Bytes that an update moves per parameter (float32): parameter, gradient, two moments and average
are read, and all but the gradient are written."""
CONFIG = "experiments/sudoku.py:extreme"
HOP = 1e-6
"""Assumed latency of a message between two chips, in seconds."""


class Bound(NamedTuple):
    """Lower bounds of an update's parts on each chip, in seconds.

    Attributes:
      compute: matrix products at the peak rate.
      state: memory traffic of parameters, moments and average, which every chip has all of.
      activations: memory traffic of activations, if each product reads and writes them.
      exchange: a ring all-reduce of the float32 gradient.
    """

    compute: float
    state: float
    activations: float
    exchange: float

    @property
    def least(self) -> float:
        """Lower bound of the update: state and exchange follow compute, and activations overlap."""
        return self.compute + self.state + self.exchange

    @property
    def efficiency(self) -> float:
        """The share of `least` that is compute."""
        return self.compute / self.least


def bound(config: ModelConfig, parameters: int, batch: int, chips: int, chip: Chip) -> Bound:
    """The bound of one update of `batch` slots, split evenly over `chips`."""
    slots = batch / chips
    flops = step_flops(config, batch, train=True) / chips
    moved = slots * traffic(config)
    ring = 2 * (chips - 1) / chips * 4 * parameters / chip.interconnect
    return Bound(
        flops / chip.flops,
        STATE_TRAFFIC * parameters / chip.memory_bandwidth,
        moved / chip.memory_bandwidth,
        ring + 2 * (chips - 1) * HOP if chips > 1 else 0.0,
    )


def traffic(config: ModelConfig) -> int:
    """Bytes of activations that the products of an update read and write, for one slot.

    The forward pass of a block moves `Mixer.block_traffic`; the backward pass, over the last
    recursion only, moves twice as much.
    """
    model = get_model(config)
    assert isinstance(model, Model)
    block = model.mixer.block_traffic(config)
    evaluations = (config.T + 2) * (config.n + 1)
    return ACTIVATION * evaluations * config.layers * block


def table(config: ModelConfig, batch: int) -> list[str]:
    """The Markdown table, with a line per machine and number of chips that divides the batch."""
    parameters = count(config)
    lines = [
        "| machine | chips | slots each | compute | state | exchange | at least | arithmetic |"
        " activations |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, (chip, counts) in MACHINES.items():
        for chips in counts:
            if batch % chips:
                continue
            b = bound(config, parameters, batch, chips, chip)
            seconds = (b.compute, b.state, b.exchange, b.least)
            shown = " | ".join(f"{1000 * each:.2f} ms" for each in seconds)
            lines.append(
                f"| {name} | {chips} | {batch // chips} | {shown} | {b.efficiency:.0%} |"
                f" {1000 * b.activations:.2f} ms |"
            )
    return lines


def count(config: ModelConfig) -> int:
    """Number of dense parameters."""
    shapes = jax.eval_shape(lambda: get_model(config).init(jax.random.key(0)))
    return sum(leaf.size for leaf in jax.tree.leaves(shapes))


def main(argv: Sequence[str] | None = None) -> None:
    """Prints the table for a model of 9x9 Sudoku."""
    given = list(sys.argv[1:] if argv is None else argv)
    arguments = rewritten(given if config_file(given) else [f"--config={CONFIG}", *given])
    values = flags.FlagValues()
    common.define_config(values, arguments)
    flags.DEFINE_integer("batch", 768, "Batch size over all chips.", flag_values=values)
    values(["roofline", *arguments])
    model = common.experiment(values).model_config({"vocab": 11, "cells": 81})
    print("\n".join(table(model, values.batch)))


if __name__ == "__main__":
    main()
