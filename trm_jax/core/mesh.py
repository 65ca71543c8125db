"""The device mesh and all sharding rules.

The mesh has two axes. The rows of a large puzzle table are split over the axis `table` and
replicated over the axis `data`. Batch slots are split over both axes. Everything else is
replicated on all devices.
"""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from trm_jax.core.errors import UserError

DATA, TABLE = "data", "table"
SLOTS = (DATA, TABLE)
"""The mesh axes that batch slots are split over."""

ROW_MULTIPLE = 1024
"""A puzzle table is split if its number of rows is a multiple of this, see `padded_rows`."""


def make_mesh(data: int = 0, table: int = 0, devices: Sequence[jax.Device] | None = None) -> Mesh:
    """Makes a mesh with the axes `data` and `table`.

    Args:
      data: number of devices that the batch is split over; 0 for all.
      table: number of them that a large puzzle table is split over; 0 for as many as possible.
      devices: devices to choose from; None for all that JAX has.

    Raises:
      UserError: there are fewer devices than `data`, or `table` does not divide them.
    """
    # by process, so that each process has neighbouring slots
    order = sorted(jax.devices() if devices is None else devices, key=lambda d: d.process_index)
    count = data or len(order)
    if not 0 < count <= len(order):
        raise UserError(
            f"config.mesh.data is {count} and there are {len(order)} devices; 0 takes all of them."
        )
    if jax.process_count() > 1 and devices is None and count != len(order):
        raise UserError(
            f"config.mesh.data is {count}, and {jax.process_count()} processes have {len(order)} "
            "devices; several processes must use all of them, so set it to 0."
        )
    most = max(n for n in range(1, count + 1) if count % n == 0 and ROW_MULTIPLE % n == 0)
    if table < 0 or count % (table or 1) or ROW_MULTIPLE % (table or 1):
        raise UserError(
            f"config.mesh.table is {table}; it must divide both {count} (devices) and "
            f"{ROW_MULTIPLE} (rows). Set it to 0 for the largest possible value, {most}."
        )
    shape = (count // (table or most), table or most)
    # Auto: jit inserts the collectives; Linen does not support the default, Explicit
    grid = np.asarray(order[:count]).reshape(shape)
    return Mesh(grid, SLOTS, axis_types=(AxisType.Auto,) * 2)


def replicated(mesh: Mesh) -> NamedSharding:
    """Sharding of an array that is the same on every device."""
    return NamedSharding(mesh, PartitionSpec())


def over_slots(mesh: Mesh, axis: int = 0) -> NamedSharding:
    """Sharding of an array whose axis number `axis` is the batch slots."""
    return NamedSharding(mesh, PartitionSpec(*[None] * axis, SLOTS))


def is_split(rows: int) -> bool:
    """Whether a puzzle table of R rows is split by rows; otherwise it is replicated."""
    return rows % ROW_MULTIPLE == 0


def over_rows(mesh: Mesh, rows: int) -> NamedSharding:
    """Sharding of a puzzle table of R rows."""
    return NamedSharding(mesh, PartitionSpec(TABLE)) if is_split(rows) else replicated(mesh)


def check_divides(mesh: Mesh, batch_size: int, parts: int = 1) -> None:
    """Checks that a batch can be split evenly.

    Args:
      mesh: devices that share the batch.
      batch_size: global batch size, over all devices.
      parts: number of microbatches that each device splits its slots into.

    Raises:
      UserError: `batch_size` is not a multiple of the devices, or its slots per device are not a
        multiple of `parts`.
    """
    if batch_size % mesh.size:
        raise UserError(
            f"config.batch_size is {batch_size}, which is not a multiple of the mesh's {mesh.size} "
            "devices; change it, or use fewer devices with config.mesh.data."
        )
    if batch_size // mesh.size % parts:
        raise UserError(
            f"config.accumulate is {parts}, which does not divide the "
            f"{batch_size // mesh.size} slots of each device."
        )


def whole_slots(count: int, mesh: Mesh) -> int:
    """The smallest number of slots, `count` or more, that can be split evenly over the devices."""
    return count + -count % mesh.size


def split_slots(arrays: Any, mesh: Mesh) -> Any:
    """Splits arrays [B, ...], which every process has in full, over the devices by slots.

    Args:
      arrays: tree of NumPy arrays, B a multiple of the devices.
      mesh: see `make_mesh`.

    Returns:
      Tree of global `jax.Array`s.
    """

    def mine(array: np.ndarray) -> np.ndarray:
        share = len(array) // jax.process_count()
        return array[jax.process_index() * share :][:share]

    return to_global(jax.tree.map(mine, arrays), over_slots(mesh))


def to_global(local: Any, sharding: NamedSharding) -> Any:
    """Makes global arrays, of which each process has a part.

    Args:
      local: tree of NumPy arrays, the rows that belong to this process's devices.
      sharding: sharding of the results.

    Returns:
      Tree of global `jax.Array`s.
    """
    return jax.tree.map(
        lambda a: jax.make_array_from_process_local_data(sharding, np.asarray(a)), local
    )
