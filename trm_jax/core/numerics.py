"""Numbers: initialisation, the norm, stable-max, and which dtype does what.

Parameters are stored in float32 and cast to the activations' dtype where they are used. Whatever
sums up over many values (norms, losses) computes in `wide`: float32, or float64 when the
activations already are (parity tests run under x64). TPUs have no float64.
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
    """The dtype in which sums over `dtype` values are taken: float32 at least."""
    return jnp.float64 if jnp.dtype(dtype) == jnp.float64 else jnp.float32


def truncated_normal(key: jax.Array, shape: tuple[int, ...], std: float) -> jax.Array:
    """Draws from a normal cut at two deviations, rescaled so that its true deviation is `std`.

    Cutting a unit normal at +-2 leaves a deviation of 0.8796; dividing by it is what makes this
    "truncated LeCun normal" of the published code (and of JAX) rather than PyTorch's own.

    Args:
      key: consumed.
      shape: of the result.
      std: true standard deviation of the result; 0 gives zeros.

    Returns:
      float32 array.
    """
    density = math.exp(-(TRUNCATION**2) / 2) / math.sqrt(2 * math.pi)
    mass = math.erf(TRUNCATION / math.sqrt(2))
    true_std = math.sqrt(1 - 2 * TRUNCATION * density / mass)
    draw = jax.random.truncated_normal(key, -TRUNCATION, TRUNCATION, shape, jnp.float32)
    return draw * (std / true_std)


def lecun_normal(
    key: jax.Array, shape: tuple[int, ...], dtype: DTypeLike = jnp.float32
) -> jax.Array:
    """A weight [inputs, outputs] of deviation 1 / sqrt(inputs); `key` is consumed."""
    return truncated_normal(key, shape, shape[0] ** -0.5).astype(dtype)


def rms_norm(x: jax.Array, axis: int = -1) -> jax.Array:
    """Divides by the root mean square over one axis, without a learned scale.

    Args:
      x: of any shape and float dtype.
      axis: to normalise over.

    Returns:
      Array of the same shape and dtype; the statistics are taken in `wide`.
    """
    h = x.astype(wide(x.dtype))
    variance = jnp.mean(jnp.square(h), axis=axis, keepdims=True)
    return (h * jax.lax.rsqrt(variance + RMS_EPSILON)).astype(x.dtype)


def normalised(x: jax.Array) -> jax.Array:
    """Layer norm over the last axis (Ba et al., arXiv 1607.06450) without scale and bias.

    Args:
      x: [..., D], of any float dtype.

    Returns:
      Array of x's shape and dtype; all of it is computed in `wide`.
    """
    return _normalised(x).astype(x.dtype)


def _normalised(x: jax.Array) -> jax.Array:
    h = x.astype(wide(x.dtype))
    h = h - jnp.mean(h, axis=-1, keepdims=True)
    variance = jnp.mean(jnp.square(h), axis=-1, keepdims=True)
    return h * jax.lax.rsqrt(variance + RMS_EPSILON)


def layer_norm(x: jax.Array, scale: jax.Array, bias: jax.Array) -> jax.Array:
    """Layer norm over the last axis, see `normalised`.

    Args:
      x: [..., D], of any float dtype.
      scale: [D].
      bias: [D].

    Returns:
      Array of x's shape and dtype; all of it is computed in `wide`.
    """
    h = _normalised(x)
    last = (1,) * (x.ndim - 1) + (-1,)
    scale, bias = (a.astype(h.dtype).reshape(last) for a in (scale, bias))
    return (h * scale + bias).astype(x.dtype)


def log_stablemax(logits: jax.Array) -> jax.Array:
    """Log-probabilities of stable-max: s(v) = v + 1 for v >= 0, else 1 / (1 - v); p = s / sum s.

    The published code evaluates this in float64, which TPUs do not have. Here both branches are
    functions of |v|, so each is finite wherever the other is chosen: a plain `where` over
    1 / (1 - v) has NaN gradients at v = 1. No difference of near-equal numbers is taken either
    (log s(v) = sign(v) log1p |v|), so float32 is enough; a test holds the error bound.
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
    """The sigmoid of halt logits of any shape, without overflow."""
    return np.exp(-np.logaddexp(0, -np.asarray(halt_logits, np.float64)))
