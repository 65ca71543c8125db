"""The device mesh, and how arrays lie on it. All sharding rules are in this file.

One axis, `data`: batch slots are split over it, and the rows of a large puzzle table. Everything
else is the same on every device.
"""

from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from trm_jax.errors import UserError

DATA = "data"
ROW_MULTIPLE = 1024
"""A puzzle table with a multiple of so many rows is split; `puzzle_table.padded_rows` makes it."""


def make_mesh(data: int = 0) -> Mesh:
    """A mesh of `data` devices, 0 taking all of them.

    Raises:
      UserError: there are fewer devices than asked for.
    """
    devices = jax.devices()
    count = data or len(devices)
    if not 0 < count <= len(devices):
        raise UserError(
            f"config.mesh.data asks for {count} devices and there are {len(devices)}; "
            "0 takes all of them."
        )
    # Auto: jit inserts the collectives; the default, Explicit, is a type system that Linen lacks
    return jax.make_mesh((count,), (DATA,), axis_types=(AxisType.Auto,), devices=devices[:count])


def replicated(mesh: Mesh) -> NamedSharding:
    """The same on every device."""
    return NamedSharding(mesh, PartitionSpec())


def over_slots(mesh: Mesh, axis: int = 0) -> NamedSharding:
    """Axis number `axis`, the batch slots, split over the data axis."""
    return NamedSharding(mesh, PartitionSpec(*[None] * axis, DATA))


def is_split(rows: int) -> bool:
    """Whether a puzzle table of R rows is split by rows, or the same on every device."""
    return rows % ROW_MULTIPLE == 0


def over_rows(mesh: Mesh, rows: int) -> NamedSharding:
    """How a puzzle table of R rows lies on the mesh.

    Raises:
      UserError: it is to be split, and the devices cannot share it evenly.
    """
    if not is_split(rows):
        return replicated(mesh)
    if ROW_MULTIPLE % mesh.shape[DATA]:
        raise UserError(
            f"a puzzle table of {rows:,} rows cannot be split over {mesh.shape[DATA]} devices; "
            "set config.mesh.data to a power of two."
        )
    return NamedSharding(mesh, PartitionSpec(DATA))


def check_divides(mesh: Mesh, batch_size: int) -> None:
    """Refuses a batch that cannot be split evenly.

    Raises:
      UserError: `batch_size` is no multiple of the data axis.
    """
    devices = mesh.shape[DATA]
    if batch_size % devices:
        raise UserError(
            f"config.batch_size {batch_size} is no multiple of the {devices} devices of the data "
            "axis; change it, or use fewer with config.mesh.data."
        )


def to_global(local: Any, sharding: NamedSharding) -> Any:
    """Makes global arrays from this process's part.

    Args:
      local: tree of NumPy arrays, the rows that belong to this process's devices.
      sharding: of the results.

    Returns:
      Tree of global `jax.Array`s.
    """
    return jax.tree.map(
        lambda a: jax.make_array_from_process_local_data(sharding, np.asarray(a)), local
    )
