"""What kernels over the rows of a lattice block share: rows that may be missing, norms, dropout."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton

from trm_jax.core.numerics import RMS_EPSILON

ROWS = 64
"""Rows that a program takes at a time."""
CHANCES = 256
"""Values of a random byte."""
WIDTHS = (32, 64, 128, 256)
"""Powers of two, as Triton wants them, whose blocks fit a program."""


class Rows:
    """The rows from `first` on that a program takes at a time, of those that there are."""

    def __init__(self, first: Any, rows: int) -> None:
        self.part = pl.ds(first, ROWS)
        self.present = first + jnp.arange(ROWS, dtype=jnp.int32) < rows

    def load(self, ref: Any, columns: Any = slice(None)) -> jax.Array:
        """[ROWS, columns] of an array [R, D], zeros where there is no row."""
        return triton.load(ref.at[self.part, columns], mask=self.present[:, None], other=0)

    def store(self, ref: Any, value: jax.Array) -> None:
        """Writes [ROWS, D] where there are rows, in the type of the array."""
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
    """All of an array is within a program's reach; what it needs of it, it loads."""
    return pl.BlockSpec(shape, lambda *_: (0,) * len(shape))


def given(chances: jax.Array | None) -> list[jax.Array]:
    """The bytes for the dropout as arguments of a kernel."""
    return [] if chances is None else [chances]


def normalise(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Rows [ROWS, D] normalised, and what each is multiplied with for that, [ROWS, 1]; float32."""
    x = x.astype(jnp.float32)
    x = x - jnp.mean(x, axis=1, keepdims=True)
    scale = jax.lax.rsqrt(jnp.mean(x * x, axis=1, keepdims=True) + RMS_EPSILON)
    return x * scale, scale


def normalise_gradient(x: jax.Array, scale: jax.Array, d: jax.Array) -> jax.Array:
    """The gradient by rows, of d by the normalised x; all as `normalise` gives them."""
    mean = jnp.mean(d, axis=1, keepdims=True)
    return scale * (d - mean - x * jnp.mean(d * x, axis=1, keepdims=True))
