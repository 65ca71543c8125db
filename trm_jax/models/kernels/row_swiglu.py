"""A SwiGLU over the last axis that never writes gate and up to memory.

Forward, one kernel computes silu(gate) * up from x. Backward, one kernel recomputes gate and up
from x and writes their gradients side by side in one array, as the matrix products that follow
need them; autodiff of `jnp.split` would concatenate two arrays instead. On a GPU an update is bound
by memory traffic, so that the additional arithmetic costs little.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton

from trm_jax.models.kernels.gates import gate_derivatives, gate_product
from trm_jax.models.kernels.target import options

ROWS, DEPTH = 128, 64
"""Number of rows of a program, and of columns of x that it processes at a time."""
FORWARD, BACKWARD = 128, 64
"""Number of inner channels of a program; the backward one holds three sums of this width."""


def takes(width: int) -> bool:
    """Whether the kernels support a SwiGLU of this outer width."""
    return width % DEPTH == 0


@jax.custom_vjp
def row_swiglu(x: jax.Array, gate_up: jax.Array, down: jax.Array) -> jax.Array:
    """Computes down(silu(gate(x)) * up(x)).

    Args:
      x: [R, D], D supported by `takes`.
      gate_up: [D, 2 F], gate first, same dtype as x; F a multiple of 256 (`inner_width`).
      down: [F, D], same dtype.

    Returns:
      [R, D]; sums within a kernel are float32.
    """
    (rows, width), inner = x.shape, down.shape[0]
    right = inner // FORWARD
    product = pl.pallas_call(
        functools.partial(_forward, rows=rows),
        out_shape=jax.ShapeDtypeStruct((rows, inner), x.dtype),
        grid=(pl.cdiv(rows, ROWS), right),
        in_specs=[
            pl.BlockSpec((ROWS, width), lambda i, j: (i, 0)),
            pl.BlockSpec((width, FORWARD), lambda i, j: (0, j)),
            pl.BlockSpec((width, FORWARD), lambda i, j: (0, j + right)),
        ],
        out_specs=pl.BlockSpec((ROWS, FORWARD), lambda i, j: (i, j)),
        name="row_swiglu",
        **options(num_stages=3),
    )(x, gate_up, gate_up)
    return product @ down


def _forward(x: Any, gate: Any, up: Any, out: Any, *, rows: int) -> None:
    present = _present(rows)

    def add(i: jax.Array, sums: Any) -> Any:
        part = pl.ds(i * DEPTH, DEPTH)
        some = triton.load(x.at[:, part], mask=present[:, None], other=0.0)
        return sums[0] + triton.dot(some, gate[part, :]), sums[1] + triton.dot(some, up[part, :])

    zero = jnp.zeros(out.shape, jnp.float32)
    gates = jax.lax.fori_loop(0, x.shape[1] // DEPTH, add, (zero, zero))
    _store(out, gate_product(*gates), present)


def _backward(
    x: Any, d: Any, gate: Any, up: Any, down: Any, d_gate_up: Any, product: Any, *, rows: int
) -> None:
    present = _present(rows)

    def add(i: jax.Array, sums: Any) -> Any:
        part = pl.ds(i * DEPTH, DEPTH)
        some = triton.load(x.at[:, part], mask=present[:, None], other=0.0)
        into = triton.load(d.at[:, part], mask=present[:, None], other=0.0)
        return (
            sums[0] + triton.dot(some, gate[part, :]),
            sums[1] + triton.dot(some, up[part, :]),
            sums[2] + triton.dot(into, down[:, part].T),
        )

    zero = jnp.zeros(product.shape, jnp.float32)
    sums = jax.lax.fori_loop(0, x.shape[1] // DEPTH, add, (zero, zero, zero))
    gated, d_gate, d_up = gate_derivatives(*sums)
    _store(product, gated, present)
    for half, value in enumerate((d_gate, d_up)):
        _store(d_gate_up.at[:, pl.ds(half, 1), :], value[:, None, :], present)


def _present(rows: int) -> jax.Array:
    """Mask of this program's rows that are within the array."""
    return pl.program_id(0) * ROWS + jnp.arange(ROWS, dtype=jnp.int32) < rows


def _store(ref: Any, value: jax.Array, present: jax.Array) -> None:
    mask = jnp.broadcast_to(present.reshape(-1, *[1] * (value.ndim - 1)), value.shape)
    triton.store(ref, value.astype(ref.dtype), mask=mask)


def _keep(x: jax.Array, gate_up: jax.Array, down: jax.Array) -> tuple[jax.Array, Any]:
    return row_swiglu(x, gate_up, down), (x, gate_up, down)


def _gradients(kept: Any, d: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    x, gate_up, down = kept
    (rows, width), inner = x.shape, down.shape[0]
    right = inner // BACKWARD
    of_rows = pl.BlockSpec((ROWS, width), lambda i, j: (i, 0))
    d_gate_up, product = pl.pallas_call(
        functools.partial(_backward, rows=rows),
        out_shape=[
            jax.ShapeDtypeStruct((rows, 2, inner), x.dtype),
            jax.ShapeDtypeStruct((rows, inner), x.dtype),
        ],
        grid=(pl.cdiv(rows, ROWS), right),
        in_specs=[
            of_rows,
            of_rows,
            pl.BlockSpec((width, BACKWARD), lambda i, j: (0, j)),
            pl.BlockSpec((width, BACKWARD), lambda i, j: (0, j + right)),
            pl.BlockSpec((BACKWARD, width), lambda i, j: (j, 0)),
        ],
        out_specs=[
            pl.BlockSpec((ROWS, 2, BACKWARD), lambda i, j: (i, 0, j)),
            pl.BlockSpec((ROWS, BACKWARD), lambda i, j: (i, j)),
        ],
        name="row_swiglu_backward",
        **options(num_stages=3),
    )(x, d, gate_up, gate_up, down)
    d_gate_up = d_gate_up.reshape(rows, 2 * inner)
    return d_gate_up @ gate_up.T, x.T @ d_gate_up, product.T @ d


row_swiglu.defvjp(_keep, _gradients)
