#!/usr/bin/env python3
r"""What an update must take at least on so many chips, on paper: compute, memory, interconnect.

    python benchmarks/roofline.py [--config experiments/sudoku.py:extreme] [--batch 768]

prints the table of experiments/performance.md. Nothing is compiled or timed. Times are of the
vendors' peak figures, which no program reaches; what is left out is named in that page.
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

# beyond 8, H100s talk over slower networks, which differ
MACHINES = {
    "H100": (CHIPS["h100"], (1, 4, 8)),
    "v5e": (CHIPS["v5e"], (1, 4, 8, 16, 64, 256)),
    "v6e": (CHIPS["v6e"], (1, 4, 8, 16, 64, 256)),
}
ACTIVATION = 2
"""Bytes of an activation, bfloat16."""
STATE_TRAFFIC = 9 * 4
"""Bytes an update moves for each parameter, float32: parameter, gradient, two moments and average
are read, all but the gradient written."""
CONFIG = "experiments/sudoku.py:extreme"
HOP = 1e-6
"""Seconds that a message takes from chip to chip, whatever its size: an assumption."""


class Bound(NamedTuple):
    """Seconds of an update on each chip.

    Attributes:
      compute: matrix products at peak rate.
      state: parameters, moments and average through memory once; every chip has all of them.
      activations: through memory at every product's edge, nothing kept on the chip in between.
      exchange: one all-reduce of the float32 gradient in a ring.
    """

    compute: float
    state: float
    activations: float
    exchange: float

    @property
    def least(self) -> float:
        """What it takes at least: state and exchange wait for the gradient, all else overlaps."""
        return self.compute + self.state + self.exchange

    @property
    def efficiency(self) -> float:
        """The share of it that is arithmetic."""
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
    """Bytes of activations in and out of the products of an update, for one slot.

    A block forward moves what its mixer says (`Mixer.block_traffic`); the backward pass, once over
    the last recursion, moves twice as much.
    """
    model = get_model(config)
    assert isinstance(model, Model)
    block = model.mixer.block_traffic(config)
    evaluations = (config.T + 2) * (config.n + 1)
    return ACTIVATION * evaluations * config.layers * block


def table(config: ModelConfig, batch: int) -> list[str]:
    """Markdown, a line for each machine and count of chips that divides the batch."""
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
    """Dense parameters."""
    shapes = jax.eval_shape(lambda: get_model(config).init(jax.random.key(0)))
    return sum(leaf.size for leaf in jax.tree.leaves(shapes))


def main(argv: Sequence[str] | None = None) -> None:
    """Prints the table, of the model on 9x9 Sudoku's cells and vocabulary."""
    given = list(sys.argv[1:] if argv is None else argv)
    arguments = rewritten(given if config_file(given) else [f"--config={CONFIG}", *given])
    values = flags.FlagValues()
    common.define_config(values, arguments)
    flags.DEFINE_integer("batch", 768, "Slots on all chips.", flag_values=values)
    values(["roofline", *arguments])
    model = common.experiment(values).model_config({"vocab": 11, "cells": 81})
    print("\n".join(table(model, values.batch)))


if __name__ == "__main__":
    main()
