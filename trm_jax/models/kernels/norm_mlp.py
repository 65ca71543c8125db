"""h + drop(down(gelu(up(normalised h)))) in one kernel: the second half of a lattice block.

The inner activations, four times as wide as h, are never written to memory. Backward, one kernel
iterates over the rows and computes the gradient of h; another iterates over the inner channels and
computes those of the weights. Both recompute the inner activations from h, the only one stored.
"""

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton

from trm_jax.models.kernels.row_blocks import (
    ROWS,
    WIDTHS,
    Rows,
    given,
    normalise,
    normalise_gradient,
    whole,
)
from trm_jax.models.kernels.target import options

INNER = 64
"""Number of inner channels that a program processes at a time."""
SUMMED = 32
"""Number of inner channels whose weight gradients a program sums, limited by its registers."""
SPLITS = 8
"""Number of programs that split the rows of a weight gradient; their sums are added at the end."""
SLOPE, CUBE = 2 * math.sqrt(2 / math.pi), 0.044715
"""The tanh form of GELU is x sigmoid(SLOPE (x + CUBE x^3))."""


class Weights(NamedTuple):
    """Float32 weights of both products: kernels [D, F] and [F, D], biases [F] and [D]."""

    up: jax.Array
    up_bias: jax.Array
    down: jax.Array
    down_bias: jax.Array

    def narrow(self, dtype: Any) -> "Weights":
        """Casts the kernels to the activations' dtype; biases are added to float32 sums."""
        return self._replace(up=self.up.astype(dtype), down=self.down.astype(dtype))


def _gelu(x: jax.Array) -> jax.Array:
    return x * jax.nn.sigmoid(SLOPE * (x + CUBE * x * x * x))


def _gelu_slope(x: jax.Array) -> jax.Array:
    sigmoid = jax.nn.sigmoid(SLOPE * (x + CUBE * x * x * x))
    return sigmoid + x * sigmoid * (1 - sigmoid) * SLOPE * (1 + 3 * CUBE * x * x)


def takes(width: int) -> bool:
    """Whether the kernels support states of this width and an MLP four times as wide."""
    return width in WIDTHS


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def norm_mlp(
    h: jax.Array, weights: Weights, chances: jax.Array | None, threshold: int
) -> jax.Array:
    """Computes h + drop(down(gelu(up(normalised h)))).

    Args:
      h: [R, D], D one of `row_blocks.WIDTHS`.
      weights: F a multiple of INNER.
      chances: random bytes [R, D] for the dropout; None for no dropout.
      threshold: entries with bytes below it are dropped.

    Returns:
      [R, D] in h's dtype; sums within the kernel are float32.
    """
    (rows, width), w = h.shape, weights.narrow(h.dtype)
    arrays = [h, *given(chances), *w]
    return pl.pallas_call(
        functools.partial(_forward, rows=rows, threshold=threshold),
        out_shape=jax.ShapeDtypeStruct((rows, width), h.dtype),
        grid=(pl.cdiv(rows, ROWS),),
        in_specs=[whole(*a.shape) for a in arrays],
        out_specs=whole(rows, width),
        name="norm_mlp",
        **options(num_stages=3),
    )(*arrays)


def _forward(h: Any, *refs: Any, rows: int, threshold: int) -> None:
    *chances, up, up_bias, down, down_bias, out = refs
    here = Rows(pl.program_id(0) * ROWS, rows)
    x = here.load(h)
    normal = normalise(x)[0].astype(h.dtype)

    def add(i: jax.Array, total: jax.Array) -> jax.Array:
        part = pl.ds(i * INNER, INNER)
        inner = triton.dot(normal, up[:, part]) + up_bias[part][None]
        return total + triton.dot(_gelu(inner).astype(h.dtype), down[part, :])

    total = jax.lax.fori_loop(0, up.shape[1] // INNER, add, jnp.zeros(x.shape, jnp.float32))
    mixed = here.drop(total + down_bias[...][None], chances, threshold)
    here.store(out, x.astype(jnp.float32) + mixed)


def _by_rows(h: Any, d: Any, *refs: Any, rows: int, threshold: int) -> None:
    """Computes the gradient with respect to h."""
    *chances, up, up_bias, down, d_h = refs
    here = Rows(pl.program_id(0) * ROWS, rows)
    exact, scale = normalise(here.load(h))
    into = here.load(d).astype(jnp.float32)
    normal = exact.astype(h.dtype)
    back = here.drop(into, chances, threshold).astype(h.dtype)

    def add(i: jax.Array, total: jax.Array) -> jax.Array:
        part = pl.ds(i * INNER, INNER)
        inner = triton.dot(normal, up[:, part]) + up_bias[part][None]
        d_inner = triton.dot(back, down[part, :].T) * _gelu_slope(inner)
        return total + triton.dot(d_inner.astype(h.dtype), up[:, part].T)

    total = jax.lax.fori_loop(0, up.shape[1] // INNER, add, jnp.zeros(into.shape, jnp.float32))
    here.store(d_h, into + normalise_gradient(exact, scale, total))


def _by_weights(h: Any, d: Any, *refs: Any, rows: int, threshold: int) -> None:
    """Computes weight gradients of some inner channels, summed over some of the rows."""
    *chances, up, up_bias, down, d_up, d_up_bias, d_down, d_down_bias = refs
    each = pl.cdiv(pl.cdiv(rows, ROWS), SPLITS)
    first = pl.program_id(1) * each
    into, bias, out = up[...], up_bias[...][None], down[...].T

    def add(i: jax.Array, sums: Any) -> Any:
        here = Rows((first + i) * ROWS, rows)
        normal = normalise(here.load(h))[0].astype(h.dtype)
        whole_back = here.drop(here.load(d).astype(jnp.float32), chances, threshold)
        back = whole_back.astype(h.dtype)
        inner = triton.dot(normal, into) + bias
        d_inner = triton.dot(back, out) * _gelu_slope(inner)
        return (
            sums[0] + triton.dot(normal.T, d_inner.astype(h.dtype)),
            sums[1] + jnp.sum(d_inner, axis=0),
            sums[2] + triton.dot(_gelu(inner).astype(h.dtype).T, back),
            sums[3] + jnp.sum(whole_back, axis=0),
        )

    results = (d_up, d_up_bias, d_down, d_down_bias)
    zeros = tuple(jnp.zeros(ref.shape, jnp.float32) for ref in results)
    for ref, total in zip(results, jax.lax.fori_loop(0, each, add, zeros), strict=True):
        ref[...] = total


def _keep(
    h: jax.Array, weights: Weights, chances: jax.Array | None, threshold: int
) -> tuple[jax.Array, Any]:
    return norm_mlp(h, weights, chances, threshold), (h, weights, chances)


def _gradients(threshold: int, kept: Any, d: jax.Array) -> tuple[jax.Array, Weights, None]:
    h, weights, chances = kept
    (rows, width), w = h.shape, weights.narrow(h.dtype)
    arrays = [h, d, *given(chances), w.up, w.up_bias, w.down]
    d_h = pl.pallas_call(
        functools.partial(_by_rows, rows=rows, threshold=threshold),
        out_shape=jax.ShapeDtypeStruct((rows, width), h.dtype),
        grid=(pl.cdiv(rows, ROWS),),
        in_specs=[whole(*a.shape) for a in arrays],
        out_specs=whole(rows, width),
        name="norm_mlp_by_rows",
        **options(num_stages=3),
    )(*arrays)
    return d_h, _weight_gradients(arrays, threshold), None


def _weight_gradients(arrays: list[jax.Array], threshold: int) -> Weights:
    """Gradients of all weights; `arrays` are the inputs of `_by_weights`."""
    *of_rows, up, _, _ = arrays
    (rows, width), inner = of_rows[0].shape, up.shape[1]
    chunks = inner // SUMMED
    shapes = (width, inner), (inner,), (inner, width), (chunks, width)
    up_spec = pl.BlockSpec((None, width, SUMMED), lambda j, s: (s, 0, j))
    bias_spec = pl.BlockSpec((None, SUMMED), lambda j, s: (s, j))
    down_spec = pl.BlockSpec((None, SUMMED, width), lambda j, s: (s, j, 0))
    sums = pl.pallas_call(
        functools.partial(_by_weights, rows=rows, threshold=threshold),
        out_shape=[jax.ShapeDtypeStruct((SPLITS, *shape), jnp.float32) for shape in shapes],
        grid=(chunks, SPLITS),
        in_specs=[
            *(whole(*a.shape) for a in of_rows),
            pl.BlockSpec((width, SUMMED), lambda j, s: (0, j)),
            pl.BlockSpec((SUMMED,), lambda j, s: (j,)),
            pl.BlockSpec((SUMMED, width), lambda j, s: (j, 0)),
        ],
        out_specs=[
            up_spec,
            bias_spec,
            down_spec,
            pl.BlockSpec((None, None, width), lambda j, s: (s, j, 0)),
        ],
        name="norm_mlp_by_weights",
        **options(num_stages=2),
    )(*arrays)
    up, up_bias, down, down_bias = (jnp.sum(a, axis=0) for a in sums)
    # every chunk of inner channels computes the same gradient of the last bias, so one is taken
    return Weights(up, up_bias, down, down_bias[0])


norm_mlp.defvjp(_keep, _gradients)
