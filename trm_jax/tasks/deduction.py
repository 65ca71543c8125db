"""What a lattice model needs of a task: its symmetries and rules as functions that JAX compiles."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp


class Movement(NamedTuple):
    """A symmetry for each board of a batch, as JAX arrays.

    Attributes:
      cells: int32 [B, S]; cell i of the result is cell cells[:, i] of the original.
      symbols: int32 [B, C]; candidate c of the result is candidate symbols[:, c] of the original.
    """

    cells: jax.Array
    symbols: jax.Array

    def apply(self, boards: jax.Array) -> jax.Array:
        """Moves boards [B, S], cells only, or [B, S, C]."""
        extra = (1,) * (boards.ndim - 2)
        moved = jnp.take_along_axis(boards, self.cells.reshape(*self.cells.shape, *extra), axis=1)
        if boards.ndim == 2:
            return moved
        return jnp.take_along_axis(moved, self.symbols[:, None], axis=2)

    def invert(self) -> "Movement":
        """The symmetry that undoes this one."""
        return Movement(jnp.argsort(self.cells, axis=-1), jnp.argsort(self.symbols, axis=-1))


class Deduction(NamedTuple):
    """Of one form of a task's puzzles.

    Attributes:
      draw: a uniformly random symmetry for each of the keys [B].
      accepts: whether answers int [B, S], numbers of candidates from 0, keep the rules, bool [B].
        Givens need no check: their cells have one candidate from the start.
    """

    draw: Callable[[jax.Array], Movement]
    accepts: Callable[[jax.Array], jax.Array]
