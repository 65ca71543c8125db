"""The gate of a SwiGLU and its derivatives in float32, for use within kernels."""

import jax


def gate_product(gate: jax.Array, up: jax.Array) -> jax.Array:
    """silu(gate) * up."""
    return gate * jax.nn.sigmoid(gate) * up


def gate_derivatives(
    gate: jax.Array, up: jax.Array, d: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """silu(gate) * up, and from its gradient d those of gate and up."""
    sigmoid = jax.nn.sigmoid(gate)
    silu = gate * sigmoid
    return silu * up, d * up * (sigmoid + silu * (1 - sigmoid)), d * silu
