"""Random puzzles of a task's shapes, for what asks how long or how large and not how right."""

from typing import Any

import numpy as np

from trm_jax.config.experiment import DataConfig
from trm_jax.data.format import Dataset, assemble
from trm_jax.tasks.arc.canvas import VOCAB as ARC_VOCAB
from trm_jax.tasks.maze.maze import Maze


def random_puzzles(config: DataConfig, count: int) -> Dataset:
    """Tokens that mean nothing; never zeros, which some hardware multiplies faster."""
    facts: dict[str, Any] = {"task": config.task, "seed": 0, "source": {"kind": "random"}}
    if config.task == "sudoku":
        side = config.box[0] * config.box[1]
        facts |= {"box": list(config.box), "vocab": side + 2}
    elif config.task == "maze":
        side = config.maze.side
        facts |= {"side": side, "vocab": Maze(side).vocab}
    else:
        side = config.arc.side
        facts |= {"side": side, "vocab": ARC_VOCAB}
    rng = np.random.default_rng(0)
    shape, vocab = (count, side * side), facts["vocab"]
    return assemble(
        rng.integers(1, vocab, shape).astype(np.uint8),
        rng.integers(2, vocab, shape).astype(np.uint8),
        np.zeros(count, np.int32),
        {"train": np.arange(count)},
        facts,
    )
