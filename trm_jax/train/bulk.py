"""How large a run is, told by its shapes before anything of it is compiled or filled."""

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
"""Of a train state, each with the setting that decides its size."""
_UNITS = ("B", "KB", "MB", "GB", "TB", "PB")


def refuse_bulk(trainer: Trainer, evaluated: int) -> None:
    """Refuses a run whose state alone is larger than the memory of a device.

    What is counted is certain: weights, averages, optimizer, puzzle table, the states of the slots,
    and those of an evaluation. What a step needs besides, only its compiler tells (`trm plan`).

    Args:
      trainer: of the run.
      evaluated: puzzles in one call of the evaluation; 0 for none.

    Raises:
      UserError: names the largest part, what it takes and what there is.
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
            f"{amount(have)}; the largest part is {most} with {amount(sizes[most])}, make it "
            "smaller."
        )


def amount(count: int) -> str:
    """Bytes for people: "3.2 GB"."""
    power = min(int(math.log(max(count, 1), 1000)), len(_UNITS) - 1)
    return f"{count / 1000**power:.3g} {_UNITS[power]}"


def _bytes(shapes: Any, shardings: Any) -> int:
    """Of arrays, what lies on one device."""
    pairs = zip(jax.tree.leaves(shapes), jax.tree.leaves(shardings), strict=True)
    return sum(
        math.prod(where.shard_shape(leaf.shape)) * _item(leaf.dtype) for leaf, where in pairs
    )


def _item(dtype: Any) -> int:
    """Bytes of an entry; random keys have two words."""
    return 8 if jax.dtypes.issubdtype(dtype, jax.dtypes.prng_key) else np.dtype(dtype).itemsize


def _evaluation(model: AnyModel, puzzles: int) -> int:
    """Of the states of so many puzzles, and of their answers at each depth."""
    c = model.config
    state = c.tokens * c.width * jax.numpy.dtype(c.dtype).itemsize
    return puzzles * (2 * state + c.N * c.cells)
