"""rms(h + swiglu(h)) over up to 128 tokens, without writing intermediate results to memory.

One program holds all tokens of its channels, so that one kernel reads h [L, C] and writes the
result. The backward pass recomputes the intermediate results: one kernel computes the gradients of
h and of the norm's input; from the latter another computes partial sums of the weights' gradients.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton

from trm_jax.core.numerics import RMS_EPSILON
from trm_jax.models.kernels.gates import gate_derivatives, gate_product
from trm_jax.models.kernels.target import options

COLUMNS, INNER = 64, 64
"""Number of channels of a program, and of inner units that it processes at a time."""
PARTS = 32
"""Number of programs that split the channels when summing the weights' gradients."""
MAX_TOKENS = 128


def takes(tokens: int) -> bool:
    """Whether the kernels support this number of tokens."""
    return tokens <= MAX_TOKENS


@jax.custom_vjp
def token_swiglu(h: jax.Array, gate_up: jax.Array, down: jax.Array) -> jax.Array:
    """Computes rms(h + down(silu(gate(h)) * up(h))), all over the first axis.

    Args:
      h: [L, C], L supported by `takes`.
      gate_up: [L, 2 F], gate first, same dtype as h; F a multiple of 256 (`inner_width`).
      down: [F, L], same dtype.

    Returns:
      [L, C]; intermediate results are float32, except the gated products.
    """
    weights = _padded(gate_up, down)
    block = _block(weights)
    return pl.pallas_call(
        functools.partial(_forward, tokens=h.shape[0], columns=h.shape[1]),
        out_shape=jax.ShapeDtypeStruct(h.shape, h.dtype),
        grid=(pl.cdiv(h.shape[1], COLUMNS),),
        in_specs=[block, *map(_whole, weights)],
        out_specs=block,
        name="token_swiglu",
        **options(num_stages=2),
    )(h, *weights)


def _padded(gate_up: jax.Array, down: jax.Array) -> tuple[jax.Array, ...]:
    """Pads the weights to a power of two of tokens, as kernels require; padding has no effect."""
    tokens = gate_up.shape[0]
    more = max(16, pl.next_power_of_2(tokens)) - tokens
    return jnp.pad(gate_up, ((0, more), (0, 0))), jnp.pad(down, ((0, 0), (0, more)))


def _block(weights: tuple[jax.Array, ...]) -> pl.BlockSpec:
    return pl.BlockSpec((weights[0].shape[0], COLUMNS), lambda *at: (0, at[0]))


def _whole(weight: jax.Array) -> pl.BlockSpec:
    return pl.BlockSpec(weight.shape, lambda *at: (0, 0))


def _present(shape: tuple[int, int], first: Any, tokens: int, columns: int) -> jax.Array:
    """Mask of a block's elements that are within the array; its first column is `first`."""
    row, column = (jax.lax.broadcasted_iota(jnp.int32, shape, axis) for axis in (0, 1))
    return (row < tokens) & (first + column < columns)


def _mixed(x: jax.Array, gate_up: Any, down: Any) -> jax.Array:
    """Computes x + swiglu(x), float32, of a block x."""
    inner = down.shape[0]

    def add(i: jax.Array, total: jax.Array) -> jax.Array:
        gate = triton.dot(gate_up[:, pl.ds(i * INNER, INNER)].T, x)
        up = triton.dot(gate_up[:, pl.ds(inner + i * INNER, INNER)].T, x)
        product = gate_product(gate, up).astype(x.dtype)
        return total + triton.dot(down[pl.ds(i * INNER, INNER), :].T, product)

    return jax.lax.fori_loop(0, inner // INNER, add, x.astype(jnp.float32))


def _scale(r: jax.Array, tokens: int) -> jax.Array:
    """Factor by which the norm multiplies each column of r, [1, columns]."""
    return jax.lax.rsqrt(jnp.sum(r * r, axis=0) / tokens + RMS_EPSILON)[None, :]


def _forward(h: Any, gate_up: Any, down: Any, out: Any, *, tokens: int, columns: int) -> None:
    present = _present(h.shape, pl.program_id(0) * COLUMNS, tokens, columns)
    r = _mixed(triton.load(h, mask=present, other=0.0), gate_up, down)
    triton.store(out, (r * _scale(r, tokens)).astype(out.dtype), mask=present)


def _backward(
    h: Any, d: Any, gate_up: Any, down: Any, d_h: Any, d_r: Any, *, tokens: int, columns: int
) -> None:
    present = _present(h.shape, pl.program_id(0) * COLUMNS, tokens, columns)
    x = triton.load(h, mask=present, other=0.0)
    r = _mixed(x, gate_up, down)
    scale = _scale(r, tokens)
    given = triton.load(d, mask=present, other=0.0).astype(jnp.float32)
    along = jnp.sum(given * r, axis=0)[None, :] / tokens
    into = (given - r * along * scale * scale) * scale
    narrow = into.astype(x.dtype)
    triton.store(d_r, narrow, mask=present)
    inner = down.shape[0]

    def add(i: jax.Array, total: jax.Array) -> jax.Array:
        gate = gate_up[:, pl.ds(i * INNER, INNER)]
        up = gate_up[:, pl.ds(inner + i * INNER, INNER)]
        back = triton.dot(down[pl.ds(i * INNER, INNER), :], narrow)
        _, d_gate, d_up = gate_derivatives(triton.dot(gate.T, x), triton.dot(up.T, x), back)
        d_gate, d_up = d_gate.astype(x.dtype), d_up.astype(x.dtype)
        return total + triton.dot(gate, d_gate) + triton.dot(up, d_up)

    total = jax.lax.fori_loop(0, inner // INNER, add, into)
    triton.store(d_h, total.astype(d_h.dtype), mask=present)


def _of_weights(
    h: Any, d_r: Any, gate_up: Any, down: Any, *sums: Any, tokens: int, columns: int, blocks: int
) -> None:
    inner = down.shape[0]
    at, start = pl.program_id(0) * INNER, pl.program_id(1) * blocks
    gate, up = gate_up[:, pl.ds(at, INNER)], gate_up[:, pl.ds(inner + at, INNER)]
    back = down[pl.ds(at, INNER), :]
    shape = (gate_up.shape[0], COLUMNS)

    def add(i: jax.Array, totals: Any) -> Any:
        first = (start + i) * COLUMNS
        present = _present(shape, first, tokens, columns)
        x = triton.load(h.at[:, pl.ds(first, COLUMNS)], mask=present, other=0.0)
        into = triton.load(d_r.at[:, pl.ds(first, COLUMNS)], mask=present, other=0.0)
        found = gate_derivatives(triton.dot(gate.T, x), triton.dot(up.T, x), triton.dot(back, into))
        product, d_gate, d_up = (value.astype(x.dtype) for value in found)
        return (
            totals[0] + triton.dot(x, d_gate.T),
            totals[1] + triton.dot(x, d_up.T),
            totals[2] + triton.dot(into, product.T),
        )

    zero = jnp.zeros((shape[0], INNER), jnp.float32)
    totals = jax.lax.fori_loop(0, blocks, add, (zero, zero, zero))
    for ref, total in zip(sums, totals, strict=True):
        ref[...] = total[None]


def _keep(h: jax.Array, gate_up: jax.Array, down: jax.Array) -> tuple[jax.Array, Any]:
    return token_swiglu(h, gate_up, down), (h, gate_up, down)


def _gradients(kept: Any, d: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    h, gate_up, down = kept
    tokens, columns = h.shape
    weights = _padded(gate_up, down)
    block, whole = _block(weights), list(map(_whole, weights))
    d_h, d_r = pl.pallas_call(
        functools.partial(_backward, tokens=tokens, columns=columns),
        out_shape=[jax.ShapeDtypeStruct(h.shape, h.dtype)] * 2,
        grid=(pl.cdiv(columns, COLUMNS),),
        in_specs=[block, block, *whole],
        out_specs=[block, block],
        name="token_swiglu_backward",
        **options(num_stages=2),
    )(h, d, *weights)
    blocks = pl.cdiv(columns, COLUMNS * PARTS)
    padded, inner = weights[0].shape[0], down.shape[0]
    all_columns = pl.BlockSpec((padded, blocks * PARTS * COLUMNS), lambda i, j: (0, 0))
    sums = pl.pallas_call(
        functools.partial(_of_weights, tokens=tokens, columns=columns, blocks=blocks),
        out_shape=[jax.ShapeDtypeStruct((PARTS, padded, inner), jnp.float32)] * 3,
        grid=(inner // INNER, PARTS),
        in_specs=[all_columns, all_columns, *whole],
        out_specs=[pl.BlockSpec((1, padded, INNER), lambda i, j: (j, 0, i))] * 3,
        name="token_swiglu_weights",
        **options(num_stages=2),
    )(h, d_r, *weights)
    d_gate, d_up, d_down = (jnp.sum(total, axis=0)[:tokens] for total in sums)
    d_gate_up = jnp.concatenate([d_gate, d_up], axis=1).astype(gate_up.dtype)
    return d_h, d_gate_up, d_down.T.astype(down.dtype)


token_swiglu.defvjp(_keep, _gradients)
