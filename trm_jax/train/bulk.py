"""Checks a run's memory from its shapes, before anything is compiled or allocated."""

import math
from collections.abc import Callable
from operator import attrgetter
from typing import Any

import jax
import numpy as np

from trm_jax.core.errors import DOES_NOT_FIT, UserError
from trm_jax.core.memory import device_bytes
from trm_jax.models import AnyModel
from trm_jax.train.trainer import Trainer

PARTS: dict[str, Callable[[Any], Any]] = {
    "the network (config.model.width and layers)": attrgetter("weights.params"),
    "the puzzle table (config.table.rows)": attrgetter("weights.table"),
    "the averages (config.optimizer.ema)": attrgetter("ema"),
    "the optimizer's moments": attrgetter("opt_state"),
    "the states of the slots (config.batch_size)": attrgetter("carry"),
}
"""Parts of a train state, named with the setting that decides their size."""
_UNITS = ("B", "KB", "MB", "GB", "TB", "PB")


def refuse_bulk(trainer: Trainer, evaluated: int) -> None:
    """Refuses a run whose state alone exceeds a device's memory.

    Counted are weights, moving averages, optimizer state, puzzle table, latents of the slots, and
    latents of an evaluation. The temporary memory of a step is not; `trm plan` compiles it.

    Args:
      trainer: trainer of the run.
      evaluated: number of puzzles per call of the evaluation; 0 for none.

    Raises:
      UserError: the state does not fit; the message names its largest part.
    """
    mesh = trainer.mesh
    have = device_bytes(mesh.devices.flat[0])
    if have is None:
        return
    sizes = {
        name: _bytes(part(trainer.shapes), part(trainer.shardings)) for name, part in PARTS.items()
    }
    sizes["the evaluation's states (config.eval_batch_size)"] = -(
        -_evaluation(trainer.model, evaluated) // mesh.size
    )
    need = sum(sizes.values())
    if need > have:
        most = max(sizes, key=lambda name: sizes[name])
        raise UserError(
            f"This run {DOES_NOT_FIT}: its state takes {amount(need)} of each device, which has "
            f"{amount(have)}; reduce the largest part, {most}, which takes "
            f"{amount(sizes[most])}."
        )


def amount(count: int) -> str:
    """Formats a number of bytes, such as "3.2 GB"."""
    power = min(int(math.log(max(count, 1), 1000)), len(_UNITS) - 1)
    return f"{count / 1000**power:.3g} {_UNITS[power]}"


def _bytes(shapes: Any, shardings: Any) -> int:
    """Bytes of a tree of arrays on one device."""
    pairs = zip(jax.tree.leaves(shapes), jax.tree.leaves(shardings), strict=True)
    return sum(
        math.prod(where.shard_shape(leaf.shape)) * _item(leaf.dtype) for leaf, where in pairs
    )


def _item(dtype: Any) -> int:
    """Bytes of an array's element; a random key has 8."""
    return 8 if jax.dtypes.issubdtype(dtype, jax.dtypes.prng_key) else np.dtype(dtype).itemsize


def _evaluation(model: AnyModel, puzzles: int) -> int:
    """Bytes of the latents of an evaluation, and of its answers at each depth."""
    c = model.config
    state = c.tokens * c.width * jax.numpy.dtype(c.dtype).itemsize
    return puzzles * (2 * state + c.N * c.cells)
