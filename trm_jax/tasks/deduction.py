"""A task's symmetries and rules as JAX functions, as a lattice model needs them."""

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
        """Applies the symmetry to boards [B, S], whose cells only are moved, or [B, S, C]."""
        extra = (1,) * (boards.ndim - 2)
        moved = jnp.take_along_axis(boards, self.cells.reshape(*self.cells.shape, *extra), axis=1)
        if boards.ndim == 2:
            return moved
        return jnp.take_along_axis(moved, self.symbols[:, None], axis=2)

    def invert(self) -> "Movement":
        """Returns the inverse symmetry."""
        return Movement(jnp.argsort(self.cells, axis=-1), jnp.argsort(self.symbols, axis=-1))


class Deduction(NamedTuple):
    """Symmetries and rules of a task's puzzles of one shape.

    Attributes:
      draw: draws a uniformly random symmetry for each of the random keys [B].
      accepts: whether answers int [B, S], indices of candidates from 0, follow the rules,
        bool [B]. Givens are not checked, since their cells have only one candidate.
    """

    draw: Callable[[jax.Array], Movement]
    accepts: Callable[[jax.Array], jax.Array]
