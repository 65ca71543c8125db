"""Rotary position embeddings."""

import jax
import jax.numpy as jnp
import numpy as np

from trm_jax.core.numerics import wide

ROTARY_THETA = 1e4


def rotary_tables(tokens: int, head_width: int) -> tuple[np.ndarray, np.ndarray]:
    """Cosine and sine of the rotary angles, each float64 [tokens, head_width].

    Su et al., "RoFormer", arXiv 2104.09864, equation 34, in the convention that pairs channel i
    with channel i + head_width / 2; both are rotated by token / theta^(2 i / head_width).
    """
    frequencies = ROTARY_THETA ** -(np.arange(0, head_width, 2) / head_width)
    angles = np.tile(np.outer(np.arange(tokens), frequencies), (1, 2))
    return np.cos(angles), np.sin(angles)


def rotate(x: jax.Array, cos: np.ndarray, sin: np.ndarray) -> jax.Array:
    """Rotates queries or keys x [B, L, heads, head_width] by the angles of their tokens."""
    compute = wide(x.dtype)
    first, second = jnp.split(x.astype(compute), 2, axis=-1)
    turned = jnp.concatenate([-second, first], axis=-1)
    c, s = (jnp.asarray(table, compute)[None, :, None, :] for table in (cos, sin))
    return (x.astype(compute) * c + turned * s).astype(x.dtype)
