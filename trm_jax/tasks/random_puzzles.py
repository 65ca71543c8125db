"""Random puzzles with a task's shapes, to measure time and memory."""

import numpy as np

from trm_jax.core.errors import UserError
from trm_jax.core.symmetries import FIRST_DIGIT
from trm_jax.data.format import Dataset, assemble
from trm_jax.tasks.settings import DataConfig
from trm_jax.tasks.task import TASKS


def random_puzzles(config: DataConfig, count: int) -> Dataset:
    """Makes puzzles of random tokens, without zeros, which some hardware multiplies faster.

    Raises:
      UserError: the task's shapes depend on its dataset.
    """
    shapes = TASKS.get(config.task).shapes(config.options)
    if shapes is None:
        raise UserError(
            f"the shapes of {config.task} puzzles depend on their dataset; set "
            "config.data.path to its directory."
        )
    rng, shape, vocab = np.random.default_rng(0), (count, shapes["cells"]), shapes["vocab"]
    return assemble(
        rng.integers(1, vocab, shape).astype(np.uint8),
        rng.integers(min(FIRST_DIGIT, vocab - 1), vocab, shape).astype(np.uint8),
        np.zeros(count, np.int32),
        {"train": np.arange(count)},
        {"task": config.task, "seed": 0, "source": {"kind": "random"}, **shapes},
    )
