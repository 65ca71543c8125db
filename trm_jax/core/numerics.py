"""Numerics: initialisers, norms, stable-max, and the dtype of each computation.

Parameters are stored in float32 and cast to the activations' dtype where they are used. Sums over
many values (norms, losses) are computed in `wide`: float64 for float64 inputs (parity tests run
under x64), else float32. TPUs have no float64.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from numpy.typing import NDArray

RMS_EPSILON = 1e-5
TRUNCATION = 2.0


def wide(dtype: DTypeLike) -> DTypeLike:
    """The dtype for sums over values of `dtype`: at least float32."""
    return jnp.float64 if jnp.dtype(dtype) == jnp.float64 else jnp.float32


def truncated_normal(key: jax.Array, shape: tuple[int, ...], std: float) -> jax.Array:
    """Samples a normal distribution truncated at ±2 sigma; `std` is the deviation of the result.

    Truncating a unit normal at +-2 reduces its standard deviation to 0.8796; this is compensated,
    as in the published code and in JAX's `variance_scaling`, but not in PyTorch's `trunc_normal_`.

    Args:
      key: random key.
      shape: shape of the result.
      std: standard deviation of the result, after truncation; 0 gives zeros.

    Returns:
      float32 array of `shape`.
    """
    density = math.exp(-(TRUNCATION**2) / 2) / math.sqrt(2 * math.pi)
    mass = math.erf(TRUNCATION / math.sqrt(2))
    true_std = math.sqrt(1 - 2 * TRUNCATION * density / mass)
    draw = jax.random.truncated_normal(key, -TRUNCATION, TRUNCATION, shape, jnp.float32)
    return draw * (std / true_std)


def lecun_normal(
    key: jax.Array, shape: tuple[int, ...], dtype: DTypeLike = jnp.float32
) -> jax.Array:
    """Samples a weight [inputs, outputs] of standard deviation 1 / sqrt(inputs)."""
    return truncated_normal(key, shape, shape[0] ** -0.5).astype(dtype)


def rms_norm(x: jax.Array, axis: int = -1) -> jax.Array:
    """Divides by the root mean square over one axis, without a learned scale.

    Args:
      x: array of any shape and float dtype.
      axis: axis to normalise over.

    Returns:
      Array of x's shape and dtype; the statistics are computed in `wide`.
    """
    h = x.astype(wide(x.dtype))
    variance = jnp.mean(jnp.square(h), axis=axis, keepdims=True)
    return (h * jax.lax.rsqrt(variance + RMS_EPSILON)).astype(x.dtype)


def normalised(x: jax.Array) -> jax.Array:
    """Layer norm over the last axis (Ba et al., arXiv 1607.06450) without scale and bias.

    Args:
      x: [..., D], any float dtype.

    Returns:
      Array of x's shape and dtype, computed in `wide`.
    """
    return _normalised(x).astype(x.dtype)


def _normalised(x: jax.Array) -> jax.Array:
    h = x.astype(wide(x.dtype))
    h = h - jnp.mean(h, axis=-1, keepdims=True)
    variance = jnp.mean(jnp.square(h), axis=-1, keepdims=True)
    return h * jax.lax.rsqrt(variance + RMS_EPSILON)


def layer_norm(x: jax.Array, scale: jax.Array, bias: jax.Array) -> jax.Array:
    """Layer norm over the last axis with scale and bias, see `normalised`.

    Args:
      x: [..., D], any float dtype.
      scale: [D].
      bias: [D].

    Returns:
      Array of x's shape and dtype, computed in `wide`.
    """
    h = _normalised(x)
    last = (1,) * (x.ndim - 1) + (-1,)
    scale, bias = (a.astype(h.dtype).reshape(last) for a in (scale, bias))
    return (h * scale + bias).astype(x.dtype)


def log_stablemax(logits: jax.Array) -> jax.Array:
    """Log-probabilities of stable-max: s(v) = v + 1 for v >= 0, else 1 / (1 - v); p = s / sum s.

    The published code computes this in float64, which TPUs do not have. Here both branches are
    functions of |v|, so that each is finite where the other is selected: a plain `where` over
    1 / (1 - v) has NaN gradients at v = 1. Since log s(v) = sign(v) log1p |v|, no near-equal
    numbers are subtracted, and float32 is sufficient; a test holds the error bound.
    Source: Prieto et al., "Grokking at the edge of numerical stability", arXiv 2501.04697.

    Args:
      logits: [..., V], float32 or wider.

    Returns:
      Array [..., V] of the same dtype.
    """
    positive = logits >= 0
    magnitude = jnp.where(positive, logits, -logits)
    log_s = jnp.where(positive, 1, -1).astype(logits.dtype) * jnp.log1p(magnitude)
    s = jnp.where(positive, 1 + magnitude, 1 / (1 + magnitude))
    return log_s - jnp.log(jnp.sum(s, axis=-1, keepdims=True))


def halting_probability(halt_logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Sigmoid of the halt logits, of any shape, without overflow."""
    return np.exp(-np.logaddexp(0, -np.asarray(halt_logits, np.float64)))
