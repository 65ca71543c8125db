"""The recursion of the paper (figure 3) as pure functions of a network.

A network here is any function (params, h) -> h that keeps the shape of the states. Only additions
happen outside it, so the states may lie in whatever layout the network likes best.
"""

from collections.abc import Callable
from typing import Any

import jax

Network = Callable[[Any, jax.Array], jax.Array]


def latent_recursion(
    net: Network, params: Any, y: jax.Array, z: jax.Array, x: jax.Array, n: int, unroll: bool
) -> tuple[jax.Array, jax.Array]:
    """N times z = net(z + (y + x)), then y = net(y + z).

    Args:
      net: the network, the same for both updates.
      params: its parameters.
      y: answer state.
      z: latent state, of y's shape.
      x: embedded question, of y's shape.
      n: latent updates.
      unroll: write the n updates out instead of looping; see `ModelConfig.unroll`.

    Returns:
      The new (y, z).
    """
    injection = y + x

    def update(z: jax.Array, _: None) -> tuple[jax.Array, None]:
        return net(params, z + injection), None

    z, _ = jax.lax.scan(update, z, None, length=n, unroll=n if unroll else 1)
    return net(params, y + z), z


def deep_recursion(
    net: Network,
    params: Any,
    y: jax.Array,
    z: jax.Array,
    x: jax.Array,
    *,
    T: int,
    n: int,
    unroll: bool,
) -> tuple[jax.Array, jax.Array]:
    """T - 1 latent recursions without gradient, then one with.

    The gradient is cut at the *inputs* of the first T - 1 recursions, parameters included, so that
    nothing of them is ever stored for the backward pass; cutting their output alone would
    leave it to the compiler to throw the stored activations away.

    Args and returns: as `latent_recursion`; T is the number of recursions.
    """
    frozen = jax.lax.stop_gradient(params)
    frozen_x = jax.lax.stop_gradient(x)

    def recurse(states: tuple[jax.Array, jax.Array], _: None) -> tuple[Any, None]:
        return latent_recursion(net, frozen, *states, frozen_x, n, unroll), None

    start = jax.lax.stop_gradient((y, z))
    (y, z), _ = jax.lax.scan(recurse, start, None, length=T - 1)
    return latent_recursion(net, params, y, z, x, n, unroll)
