"""The recursions of the paper and where each cuts the gradient, as pure functions of networks.

A *recursion* updates the latents once around: TRM's own (figure 3), the two ablations of table 2,
and direct prediction, which does not recurse. A *gradient* says how many recursions make a
supervision step and which of their updates are learned from. `trm_jax.models.variants` pairs them.

A network here is any function h -> h that keeps the shape of the states. Only additions happen
outside it, so the states may lie in whatever layout the networks like best.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax

from trm_jax.types import Latents

Network = Callable[[jax.Array], jax.Array]


class Networks(NamedTuple):
    """The networks that update z and y, bound to their parameters; TRM has one for both."""

    z: Network
    y: Network


class Depth(NamedTuple):
    """How deep: T recursions of n latent updates each, written out one by one where `unroll`."""

    T: int
    n: int
    unroll: bool


Recursion = Callable[[Networks, Latents, jax.Array, Depth], Latents]
"""(networks, latents, embedded question x, depth) -> latents; `depth.T` is not its business."""

Gradient = Callable[[Recursion, Networks, Networks, Latents, jax.Array, Depth], Latents]
"""(recursion, networks, the same without gradient to their parameters, latents, x, depth)."""


def latent_recursion(nets: Networks, latents: Latents, x: jax.Array, depth: Depth) -> Latents:
    """TRM, paper figure 3: n times z = net(z + (y + x)), then y = net(y + z).

    Args:
      nets: the networks.
      latents: (y, z), each of x's shape.
      x: the embedded question.
      depth: its n and unroll (see `ModelConfig`) are used.

    Returns:
      The new (y, z).
    """
    y, z = latents
    z = _repeat(nets.z, z, y + x, depth)
    return nets.y(y + z), z


def single_recursion(nets: Networks, latents: Latents, x: jax.Array, depth: Depth) -> Latents:
    """One latent for both, paper table 2: n times z = net(z + x), then z = net(z).

    Args and returns: as `latent_recursion`, with latents (z,).
    """
    (z,) = latents
    return (nets.y(_repeat(nets.z, z, x, depth)),)


def multi_scale_recursion(nets: Networks, latents: Latents, x: jax.Array, depth: Depth) -> Latents:
    """A latent for each update, paper table 2.

    For i = 1..n: z_i = net(z_1 + ... + z_n + (y + x)); then y = net(y + z_1 + ... + z_n).

    Args and returns: as `latent_recursion`, with latents (y, z_1, ..., z_n). Always written out:
    no two updates are of the same latent, so there is nothing to loop over.
    """
    y, *zs = latents
    injection = y + x
    for i in range(depth.n):
        zs[i] = nets.z(functools.reduce(jax.lax.add, zs) + injection)
    return nets.y(y + functools.reduce(jax.lax.add, zs)), *zs


def direct_prediction(nets: Networks, latents: Latents, x: jax.Array, depth: Depth) -> Latents:
    """No recursion at all, the baseline of the HRM paper: y = net(y + x).

    Args and returns: as `latent_recursion`, with latents (y,); the depth is not used.
    """
    del depth
    (y,) = latents
    return (nets.y(y + x),)


def last_recursion(
    recursion: Recursion,
    nets: Networks,
    frozen: Networks,
    latents: Latents,
    x: jax.Array,
    depth: Depth,
) -> Latents:
    """T - 1 recursions without gradient, then one with (`deep_recursion` in the paper's figure 3).

    The gradient is cut at the *inputs* of the first T - 1 recursions, parameters included, so that
    nothing of them is ever stored for the backward pass; cutting their output alone would
    leave it to the compiler to throw the stored activations away.

    Args:
      recursion: one of those above.
      nets: the networks.
      frozen: the same, without gradient to their parameters.
      latents: what the recursion takes.
      x: the embedded question.
      depth: T recursions, n latent updates in each.

    Returns:
      The new latents.
    """
    latents = _without_gradient(recursion, frozen, latents, x, depth)
    return recursion(nets, latents, x, depth)


def last_updates(
    recursion: Recursion,
    nets: Networks,
    frozen: Networks,
    latents: Latents,
    x: jax.Array,
    depth: Depth,
) -> Latents:
    """T recursions of (y, z), with gradient through the last update of each state alone.

    HRM's one-step approximation of the gradient at a fixed point (arXiv 2506.21734, section 2.2);
    "1-step gradient" in the TRM paper's table 1.

    Args and returns: as `last_recursion`.
    """
    y, z = _without_gradient(recursion, frozen, latents, x, depth)
    before = depth._replace(n=depth.n - 1)
    z = _repeat(frozen.z, z, jax.lax.stop_gradient(y + x), before)
    return recursion(nets, (y, z), x, depth._replace(n=1))


def single_pass(
    recursion: Recursion,
    nets: Networks,
    frozen: Networks,
    latents: Latents,
    x: jax.Array,
    depth: Depth,
) -> Latents:
    """The recursion once, with gradient; `depth.T` is not used.

    Args and returns: as `last_recursion`.
    """
    del frozen
    return recursion(nets, jax.lax.stop_gradient(latents), x, depth)


def _repeat(net: Network, z: jax.Array, injection: jax.Array, depth: Depth) -> jax.Array:
    """N times z = net(z + injection)."""

    def update(z: jax.Array, _: None) -> tuple[jax.Array, None]:
        return net(z + injection), None

    unroll = max(depth.n, 1) if depth.unroll else 1
    return jax.lax.scan(update, z, None, length=depth.n, unroll=unroll)[0]


def _without_gradient(
    recursion: Recursion, frozen: Networks, latents: Latents, x: jax.Array, depth: Depth
) -> Latents:
    """The first T - 1 recursions."""
    latents, x = jax.lax.stop_gradient((latents, x))

    def recurse(latents: Latents, _: None) -> tuple[Latents, None]:
        return recursion(frozen, latents, x, depth), None

    return jax.lax.scan(recurse, latents, None, length=depth.T - 1)[0]
