"""h + drop(x W + b) in one kernel: adds attention's output to the states of a lattice block."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton

from trm_jax.models.kernels.row_blocks import ROWS, Rows, given, whole
from trm_jax.models.kernels.target import options

COLUMNS = 32
"""Number of columns of the weights' gradient that one program computes."""
SPLITS = 32
"""Number of programs that split the rows of such a gradient; their sums are added at the end."""


@functools.partial(jax.custom_vjp, nondiff_argnums=(5,))
def add_affine(
    h: jax.Array,
    x: jax.Array,
    kernel: jax.Array,
    bias: jax.Array,
    chances: jax.Array | None,
    threshold: int,
) -> jax.Array:
    """Computes h + drop(x kernel + bias).

    Args:
      h: [R, D], D one of `row_blocks.WIDTHS`.
      x: [R, D], same dtype as h.
      kernel: float32 [D, D].
      bias: float32 [D].
      chances: random bytes [R, D] for the dropout; None for no dropout.
      threshold: entries with bytes below it are dropped.

    Returns:
      [R, D] in h's dtype; sums within the kernel are float32.
    """
    arrays = [h, x, kernel.astype(h.dtype), bias, *given(chances)]
    return _over_rows(_forward, arrays, threshold, "add_affine")


def _over_rows(function: Any, arrays: list[jax.Array], threshold: int, name: str) -> jax.Array:
    shape, dtype = arrays[0].shape, arrays[0].dtype
    found: jax.Array = pl.pallas_call(
        functools.partial(function, rows=shape[0], threshold=threshold),
        out_shape=jax.ShapeDtypeStruct(shape, dtype),
        grid=(pl.cdiv(shape[0], ROWS),),
        in_specs=[whole(*a.shape) for a in arrays],
        out_specs=whole(*shape),
        name=name,
        **options(num_stages=2),
    )(*arrays)
    return found


def _forward(h: Any, x: Any, kernel: Any, bias: Any, *refs: Any, rows: int, threshold: int) -> None:
    *chances, out = refs
    here = Rows(pl.program_id(0) * ROWS, rows)
    more = triton.dot(here.load(x), kernel[...]) + bias[...][None]
    here.store(out, here.load(h).astype(jnp.float32) + here.drop(more, chances, threshold))


def _by_rows(d: Any, kernel: Any, *refs: Any, rows: int, threshold: int) -> None:
    """Computes the gradient with respect to x."""
    *chances, d_x = refs
    here = Rows(pl.program_id(0) * ROWS, rows)
    back = here.drop(here.load(d).astype(jnp.float32), chances, threshold)
    here.store(d_x, triton.dot(back.astype(d.dtype), kernel[...].T))


def _by_weights(x: Any, d: Any, *refs: Any, rows: int, threshold: int) -> None:
    """Computes gradients of some columns of the weights, summed over some of the rows."""
    *chances, d_kernel, d_bias = refs
    each = pl.cdiv(pl.cdiv(rows, ROWS), SPLITS)
    first, columns = pl.program_id(1) * each, pl.ds(pl.program_id(0) * COLUMNS, COLUMNS)

    def add(i: jax.Array, sums: Any) -> Any:
        here = Rows((first + i) * ROWS, rows)
        some = here.load(d, columns).astype(jnp.float32)
        back = here.drop(some, chances, threshold, columns)
        product = triton.dot(here.load(x).T, back.astype(d.dtype))
        return sums[0] + product, sums[1] + jnp.sum(back, axis=0)

    zeros = jnp.zeros(d_kernel.shape, jnp.float32), jnp.zeros(d_bias.shape, jnp.float32)
    d_kernel[...], d_bias[...] = jax.lax.fori_loop(0, each, add, zeros)


def _keep(
    h: jax.Array,
    x: jax.Array,
    kernel: jax.Array,
    bias: jax.Array,
    chances: jax.Array | None,
    threshold: int,
) -> tuple[jax.Array, Any]:
    return add_affine(h, x, kernel, bias, chances, threshold), (x, kernel, chances)


def _gradients(threshold: int, kept: Any, d: jax.Array) -> tuple[Any, ...]:
    x, kernel, chances = kept
    rows, width = x.shape
    arrays = [d, kernel.astype(d.dtype), *given(chances)]
    d_x = _over_rows(_by_rows, arrays, threshold, "add_affine_by_rows")
    arrays = [x, d, *given(chances)]
    d_kernel, d_bias = pl.pallas_call(
        functools.partial(_by_weights, rows=rows, threshold=threshold),
        out_shape=[
            jax.ShapeDtypeStruct((SPLITS, width, width), jnp.float32),
            jax.ShapeDtypeStruct((SPLITS, width), jnp.float32),
        ],
        grid=(width // COLUMNS, SPLITS),
        in_specs=[whole(*a.shape) for a in arrays],
        out_specs=[
            pl.BlockSpec((None, width, COLUMNS), lambda j, s: (s, 0, j)),
            pl.BlockSpec((None, COLUMNS), lambda j, s: (s, j)),
        ],
        name="add_affine_by_weights",
        **options(num_stages=2),
    )(*arrays)
    return d, d_x, jnp.sum(d_kernel, axis=0), jnp.sum(d_bias, axis=0), None


add_affine.defvjp(_keep, _gradients)
