"""Queries, keys and values of tokens in one kernel, with rotary positions.

The product alone would write all three side by side; rotating and splitting them would read and
write each once more.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton

from trm_jax.models.kernels.target import options
from trm_jax.models.rotary import rotate

ROWS, DEPTH = 128, 64
"""Number of rows of a program, and of columns of x that it processes at a time."""


def takes(width: int, head_width: int) -> bool:
    """Whether the kernel supports tokens and heads of these widths."""
    return width % DEPTH == 0 and _columns(width) % head_width == 0


def _columns(width: int) -> int:
    """Number of columns of q, k or v that a program computes: a multiple of a head's width."""
    return 128 if width % 128 == 0 else 64


@functools.partial(jax.custom_vjp, nondiff_argnums=(4,))
def rotary_qkv(
    x: jax.Array, kernel: jax.Array, cos: jax.Array, sin: jax.Array, heads: int
) -> tuple[jax.Array, ...]:
    """Computes q, k and v of x, with q and k rotated by the angles of their tokens.

    Args:
      x: [B, L, D].
      kernel: [D, 3 D], q | k | v, each by heads, same dtype as x.
      cos: cosine of the angles, [L, D / heads] (`rotary.rotary_tables`).
      sin: sine of the angles, same shape.
      heads: number of heads, H.

    Returns:
      Three arrays [B, L, H, D / H] in x's dtype.
    """
    batch, tokens, width = x.shape
    rows, columns = batch * tokens, _columns(width)
    turn = _turn(columns, width // heads).astype(x.dtype)
    tables = _around(cos, columns), _around(sin, columns)
    out = pl.BlockSpec((ROWS, columns), lambda i, j: (i, j % (width // columns)))
    found = pl.pallas_call(
        functools.partial(_kernel, rows=rows, tokens=tokens, each=width // columns),
        out_shape=[jax.ShapeDtypeStruct((rows, width), x.dtype)] * 3,
        grid=(pl.cdiv(rows, ROWS), 3 * width // columns),
        in_specs=[
            pl.BlockSpec((ROWS, width), lambda i, j: (i, 0)),
            pl.BlockSpec((width, columns), lambda i, j: (0, j)),
            *(pl.BlockSpec(a.shape, lambda i, j: (0, 0)) for a in (turn, *tables)),
        ],
        out_specs=[out] * 3,
        name="rotary_qkv",
        **options(num_stages=3),
    )(x.reshape(rows, width), kernel, turn, *tables)
    return tuple(a.reshape(batch, tokens, heads, -1) for a in found)


def _turn(columns: int, head_width: int) -> jax.Array:
    """Matrix that maps (first half, second half) of each head to (-second, first)."""
    half = np.eye(head_width // 2)
    head = np.block([[np.zeros_like(half), half], [-half, np.zeros_like(half)]])
    return jnp.asarray(np.kron(np.eye(columns // head_width), head), "float32")


def _around(table: jax.Array, columns: int) -> jax.Array:
    """Tiles a table [L, head_width] for all heads of a program, and for rows from any token on."""
    more = -(-ROWS // table.shape[0])
    around = jnp.concatenate([table] * (1 + more))
    return jnp.tile(around, (1, columns // table.shape[1]))


def _kernel(
    x: Any, kernel: Any, turn: Any, cos: Any, sin: Any, *out: Any, rows: int, tokens: int, each: int
) -> None:
    first, column = pl.program_id(0) * ROWS, pl.program_id(1)
    present = first + jnp.arange(ROWS, dtype=jnp.int32) < rows

    def add(i: jax.Array, total: jax.Array) -> jax.Array:
        part = pl.ds(i * DEPTH, DEPTH)
        some = triton.load(x.at[:, part], mask=present[:, None], other=0.0)
        return total + triton.dot(some, kernel[part, :])

    zero = jnp.zeros(out[0].shape, jnp.float32)
    straight = jax.lax.fori_loop(0, x.shape[1] // DEPTH, add, zero).astype(x.dtype)
    places = pl.ds(first % tokens, ROWS)
    turned = straight.astype(jnp.float32) * cos[places, :]
    turned += triton.dot(straight, turn[...]) * sin[places, :]
    mask = jnp.broadcast_to(present[:, None], out[0].shape)
    for number, ref in enumerate(out):
        value = straight if number == 2 else turned.astype(x.dtype)

        @pl.when(column // each == number)
        def _(ref: Any = ref, value: jax.Array = value) -> None:
            triton.store(ref, value, mask=mask)


def _keep(
    x: jax.Array, kernel: jax.Array, cos: jax.Array, sin: jax.Array, heads: int
) -> tuple[tuple[jax.Array, ...], Any]:
    return rotary_qkv(x, kernel, cos, sin, heads), (x, kernel, cos, sin)


def _gradients(heads: int, kept: Any, d: tuple[jax.Array, ...]) -> tuple[Any, ...]:
    del heads
    x, kernel, cos, sin = kept
    d_q, d_k, d_v = d
    back = rotate(d_q, cos, -sin), rotate(d_k, cos, -sin), d_v
    d_qkv = jnp.concatenate([a.reshape(-1, x.shape[-1]) for a in back], axis=1)
    flat = x.reshape(-1, x.shape[-1])
    return (d_qkv @ kernel.T).reshape(x.shape), flat.T @ d_qkv, None, None


rotary_qkv.defvjp(_keep, _gradients)
