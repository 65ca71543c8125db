"""Shared parts of the kernels over a lattice block's rows: masked rows, norm, dropout."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton

from trm_jax.core.numerics import RMS_EPSILON

ROWS = 64
"""Number of rows that a program processes at a time."""
CHANCES = 256
"""Number of values of a random byte."""
WIDTHS = (32, 64, 128, 256)
"""Supported widths: powers of two, as Triton requires, whose blocks fit a program."""


class Rows:
    """A block of ROWS rows from `first` on; rows beyond the array's end are masked."""

    def __init__(self, first: Any, rows: int) -> None:
        self.part = pl.ds(first, ROWS)
        self.present = first + jnp.arange(ROWS, dtype=jnp.int32) < rows

    def load(self, ref: Any, columns: Any = slice(None)) -> jax.Array:
        """Loads [ROWS, columns] of an array [R, D]; masked rows are zero."""
        return triton.load(ref.at[self.part, columns], mask=self.present[:, None], other=0)

    def store(self, ref: Any, value: jax.Array) -> None:
        """Writes [ROWS, D] except masked rows, in the array's dtype."""
        mask = jnp.broadcast_to(self.present[:, None], value.shape)
        triton.store(ref.at[self.part, :], value.astype(ref.dtype), mask=mask)

    def drop(
        self, x: jax.Array, chances: Any, threshold: int, columns: Any = slice(None)
    ) -> jax.Array:
        """Dropout of x [ROWS, columns] by bytes [R, D], a list of one reference or none."""
        if not chances:
            return x
        kept = self.load(chances[0], columns).astype(jnp.int32) >= threshold
        return jnp.where(kept, x * (CHANCES / (CHANCES - threshold)), 0.0)


def whole(*shape: int) -> pl.BlockSpec:
    """Block spec of a whole array, of which a program loads what it needs."""
    return pl.BlockSpec(shape, lambda *_: (0,) * len(shape))


def given(chances: jax.Array | None) -> list[jax.Array]:
    """The random bytes for dropout as a list of kernel arguments; empty for None."""
    return [] if chances is None else [chances]


def normalise(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Normalises rows [ROWS, D]; returns them and their scale factors [ROWS, 1], in float32."""
    x = x.astype(jnp.float32)
    x = x - jnp.mean(x, axis=1, keepdims=True)
    scale = jax.lax.rsqrt(jnp.mean(x * x, axis=1, keepdims=True) + RMS_EPSILON)
    return x * scale, scale


def normalise_gradient(x: jax.Array, scale: jax.Array, d: jax.Array) -> jax.Array:
    """Gradient with respect to x, given d with respect to the normalised x; see `normalise`."""
    mean = jnp.mean(d, axis=1, keepdims=True)
    return scale * (d - mean - x * jnp.mean(d * x, axis=1, keepdims=True))
