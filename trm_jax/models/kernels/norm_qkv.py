"""Queries, keys and values of normalised tokens, as three arrays.

A single product would write them side by side, and splitting them would read and write each once
more, as would concatenating their gradients. h is returned too, so that the gradient that reaches
it through the residual is added within the kernel that iterates over the rows.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton

from trm_jax.models.kernels.row_blocks import ROWS, Rows, normalise, normalise_gradient, whole
from trm_jax.models.kernels.target import options

COLUMNS = 32
"""Number of columns of each of q, k and v in a weight gradient that one program computes."""
SPLITS = 32
"""Number of programs that split the rows of such a gradient; their sums are added at the end."""


@jax.custom_vjp
def norm_qkv(h: jax.Array, kernel: jax.Array, bias: jax.Array) -> tuple[jax.Array, ...]:
    """Computes queries, keys and values of normalised h, and returns h with them.

    Args:
      h: [R, D], D one of `row_blocks.WIDTHS`.
      kernel: float32 [D, 3 D], q | k | v.
      bias: float32 [3 D].

    Returns:
      h, q, k and v, each [R, D] in h's dtype; sums within the kernel are float32.
    """
    rows, width = h.shape
    arrays = h, kernel.astype(h.dtype), bias
    found = pl.pallas_call(
        functools.partial(_forward, rows=rows),
        out_shape=[jax.ShapeDtypeStruct(h.shape, h.dtype)] * 3,
        grid=(pl.cdiv(rows, ROWS),),
        in_specs=[whole(*a.shape) for a in arrays],
        out_specs=[whole(rows, width)] * 3,
        name="norm_qkv",
        **options(num_stages=2),
    )(*arrays)
    return h, *found


def _forward(h: Any, kernel: Any, bias: Any, *out: Any, rows: int) -> None:
    here, width = Rows(pl.program_id(0) * ROWS, rows), h.shape[1]
    normal = normalise(here.load(h))[0].astype(h.dtype)
    for number, ref in enumerate(out):
        part = pl.ds(number * width, width)
        here.store(ref, triton.dot(normal, kernel[:, part]) + bias[part][None])


def _by_rows(h: Any, d_behind: Any, *refs: Any, rows: int) -> None:
    """Computes the gradient with respect to h."""
    *d, kernel, d_h = refs
    here, width = Rows(pl.program_id(0) * ROWS, rows), h.shape[1]
    total = jnp.zeros((ROWS, width), jnp.float32)
    for number, ref in enumerate(d):
        part = pl.ds(number * width, width)
        total += triton.dot(here.load(ref), kernel[:, part].T)
    gradient = normalise_gradient(*normalise(here.load(h)), total)
    here.store(d_h, here.load(d_behind).astype(jnp.float32) + gradient)


def _by_weights(h: Any, *refs: Any, rows: int) -> None:
    """Computes gradients of some columns of the weights, summed over some of the rows."""
    *d, d_kernel, d_bias = refs
    each = pl.cdiv(pl.cdiv(rows, ROWS), SPLITS)
    first, columns = pl.program_id(1) * each, pl.ds(pl.program_id(0) * COLUMNS, COLUMNS)

    def add(i: jax.Array, sums: Any) -> Any:
        here = Rows((first + i) * ROWS, rows)
        normal = normalise(here.load(h))[0].astype(h.dtype).T
        parts = [here.load(ref, columns) for ref in d]
        products = [
            total + triton.dot(normal, part) for total, part in zip(sums[0], parts, strict=True)
        ]
        biases = [
            total + jnp.sum(part.astype(jnp.float32), axis=0)
            for total, part in zip(sums[1], parts, strict=True)
        ]
        return products, biases

    zeros = (
        [jnp.zeros((h.shape[1], COLUMNS), jnp.float32)] * 3,
        [jnp.zeros((COLUMNS,), jnp.float32)] * 3,
    )
    products, biases = jax.lax.fori_loop(0, each, add, zeros)
    for number in range(3):
        d_kernel[number, :, :] = products[number]
        d_bias[number, :] = biases[number]


def _keep(h: jax.Array, kernel: jax.Array, bias: jax.Array) -> tuple[tuple[jax.Array, ...], Any]:
    return norm_qkv(h, kernel, bias), (h, kernel)


def _gradients(kept: Any, d: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
    h, kernel = kept
    rows, width = h.shape
    arrays = h, *d, kernel.astype(h.dtype)
    d_h = pl.pallas_call(
        functools.partial(_by_rows, rows=rows),
        out_shape=jax.ShapeDtypeStruct(h.shape, h.dtype),
        grid=(pl.cdiv(rows, ROWS),),
        in_specs=[whole(*a.shape) for a in arrays],
        out_specs=whole(rows, width),
        name="norm_qkv_by_rows",
        **options(num_stages=2),
    )(*arrays)
    shapes = (3, width, width), (3, width)
    d_kernel, d_bias = pl.pallas_call(
        functools.partial(_by_weights, rows=rows),
        out_shape=[jax.ShapeDtypeStruct((SPLITS, *shape), jnp.float32) for shape in shapes],
        grid=(width // COLUMNS, SPLITS),
        in_specs=[whole(rows, width)] * 4,
        out_specs=[
            pl.BlockSpec((None, 3, width, COLUMNS), lambda j, s: (s, 0, 0, j)),
            pl.BlockSpec((None, 3, COLUMNS), lambda j, s: (s, 0, j)),
        ],
        name="norm_qkv_by_weights",
        **options(num_stages=2),
    )(h, *d[1:])
    d_kernel = jnp.sum(d_kernel, axis=0).swapaxes(0, 1).reshape(width, 3 * width)
    return d_h, d_kernel, jnp.sum(d_bias, axis=0).reshape(-1)


norm_qkv.defvjp(_keep, _gradients)
