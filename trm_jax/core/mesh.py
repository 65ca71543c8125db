"""The device mesh, and how arrays lie on it. All sharding rules are in this file.

Two axes: `table` is the devices among which the rows of a large puzzle table are split, `data` the
groups of such devices, each with a table of its own. Batch slots are split over all devices of
both. Everything else is the same everywhere.
"""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from trm_jax.core.errors import UserError

DATA, TABLE = "data", "table"
SLOTS = (DATA, TABLE)
"""The axes that batch slots are split over."""

ROW_MULTIPLE = 1024
"""A puzzle table with a multiple of so many rows is split; `puzzle_table.padded_rows` makes it."""


def make_mesh(data: int = 0, table: int = 0, devices: Sequence[jax.Device] | None = None) -> Mesh:
    """A mesh of `data` devices.

    Args:
      data: over how many devices the batch is split; 0 takes all.
      table: over how many of them a large puzzle table is split; 0 takes as many as can share it.
      devices: to take them from; None is for all that JAX has.

    Raises:
      UserError: there are fewer devices than asked for, or they cannot be divided so.
    """
    # by process, so that each process has neighbouring slots
    order = sorted(jax.devices() if devices is None else devices, key=lambda d: d.process_index)
    count = data or len(order)
    if not 0 < count <= len(order):
        raise UserError(
            f"config.mesh.data asks for {count} devices and there are {len(order)}; "
            "0 takes all of them."
        )
    if jax.process_count() > 1 and devices is None and count != len(order):
        raise UserError(
            f"config.mesh.data is {count}, and {jax.process_count()} processes have {len(order)} "
            "devices; several processes use all of them, which is 0."
        )
    most = max(n for n in range(1, count + 1) if count % n == 0 and ROW_MULTIPLE % n == 0)
    if table < 0 or count % (table or 1) or ROW_MULTIPLE % (table or 1):
        raise UserError(
            f"config.mesh.table is {table}, which does not divide {count} devices and "
            f"{ROW_MULTIPLE} rows; 0 takes {most}."
        )
    shape = (count // (table or most), table or most)
    # Auto: jit inserts the collectives; the default, Explicit, is a type system that Linen lacks
    grid = np.asarray(order[:count]).reshape(shape)
    return Mesh(grid, SLOTS, axis_types=(AxisType.Auto,) * 2)


def replicated(mesh: Mesh) -> NamedSharding:
    """The same on every device."""
    return NamedSharding(mesh, PartitionSpec())


def over_slots(mesh: Mesh, axis: int = 0) -> NamedSharding:
    """Axis number `axis`, the batch slots, split over all devices."""
    return NamedSharding(mesh, PartitionSpec(*[None] * axis, SLOTS))


def is_split(rows: int) -> bool:
    """Whether a puzzle table of R rows is split by rows, or the same on every device."""
    return rows % ROW_MULTIPLE == 0


def over_rows(mesh: Mesh, rows: int) -> NamedSharding:
    """How a puzzle table of R rows lies on the mesh."""
    return NamedSharding(mesh, PartitionSpec(TABLE)) if is_split(rows) else replicated(mesh)


def check_divides(mesh: Mesh, batch_size: int, parts: int = 1) -> None:
    """Refuses a batch that cannot be split evenly.

    Args:
      mesh: its devices share the batch.
      batch_size: over all devices.
      parts: each device takes its slots in so many parts.

    Raises:
      UserError: `batch_size` is no multiple of devices and parts.
    """
    if batch_size % mesh.size:
        raise UserError(
            f"config.batch_size {batch_size} is no multiple of the {mesh.size} devices of the "
            "mesh; change it, or use fewer with config.mesh.data."
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
    """Arrays [B, ...] that every process has whole, split by slots over the devices.

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
