"""Random puzzles with a task's shapes, to measure time and memory."""

from pathlib import Path

import numpy as np

from trm_jax.core.errors import UserError
from trm_jax.core.symmetries import FIRST_DIGIT
from trm_jax.data.format import MANIFEST, Dataset, assemble
from trm_jax.tasks.settings import DataConfig
from trm_jax.tasks.sources import load
from trm_jax.tasks.task import TASKS, Shape


def random_puzzles(config: DataConfig, count: int) -> Dataset:
    """Makes puzzles of random nonzero tokens, since some hardware multiplies zeros faster.

    Their shape follows from the task's settings or, if these do not fix it, from the dataset.

    Raises:
      UserError: it depends on the dataset, and `config.path` is not the directory of one.
    """
    shapes = TASKS.get(config.task).shapes(config.options) or _shapes_of_data(config)
    if shapes is None:
        raise UserError(
            f"the shapes of {config.task} puzzles depend on their dataset; set config.data.path "
            "to its directory, as `trm data` writes it."
        )
    rng, shape, vocab = np.random.default_rng(0), (count, shapes["cells"]), shapes["vocab"]
    return assemble(
        rng.integers(1, vocab, shape).astype(np.uint8),
        rng.integers(min(FIRST_DIGIT, vocab - 1), vocab, shape).astype(np.uint8),
        np.zeros(count, np.int32),
        {"train": np.arange(count)},
        {**shapes, "task": config.task, "seed": 0, "source": {"kind": "random"}},
    )


def _shapes_of_data(config: DataConfig) -> Shape | None:
    """The manifest of a data set directory of the task; None where the path is not one."""
    if not (Path(config.path) / MANIFEST).exists():
        return None
    manifest = load(config.path).manifest
    return manifest if manifest["task"] == config.task else None
