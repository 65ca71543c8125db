"""The recursions of the papers and their gradients, as pure functions of the networks.

A *recursion* updates the latents once: TRM's own (figure 3), the two ablations of table 2, and
direct prediction, which does not recurse. A *gradient* applies a recursion several times to make a
supervision step, and decides which updates have a gradient. `trm_jax.models.variants` pairs them.

A network is any function h -> h that keeps the shape of the states. All other operations are
elementwise, so the states may have any layout that suits the networks.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from trm_jax.core.types import Latents

Network = Callable[[jax.Array], jax.Array]


class Networks(NamedTuple):
    """The networks that update z and y, bound to their parameters; TRM uses one for both."""

    z: Network
    y: Network


class Noise(NamedTuple):
    """Gaussian noise that is added to the states at each update.

    Attributes:
      std: standard deviation.
      keys: random keys [B], one for each slot; a slot's noise depends only on its key and the
        number of the update.
      axis: axis of the slots in the states.
    """

    std: float
    keys: jax.Array
    axis: int

    def of(self, number: jax.Array | int) -> "Noise":
        """Noise with keys for recursion or update `number`."""
        fold = jax.vmap(jax.random.fold_in, in_axes=(0, None))
        return self._replace(keys=fold(self.keys, number))

    def add(self, h: jax.Array) -> jax.Array:
        """Adds the noise to states of any float dtype."""
        shape = tuple(size for axis, size in enumerate(h.shape) if axis != self.axis)

        def draw(key: jax.Array) -> jax.Array:
            return jax.random.normal(key, shape, jnp.float32)

        drawn = jax.vmap(draw, out_axes=self.axis)(self.keys)
        return h + (self.std * drawn).astype(h.dtype)


class Depth(NamedTuple):
    """Depth of a supervision step: T recursions of n latent updates each.

    Attributes:
      T: number of recursions.
      n: number of latent updates in each recursion.
      unroll: whether the updates are unrolled instead of a loop.
      damping: see `settle`.
      noise: see `settle`; None for no noise.
    """

    T: int
    n: int
    unroll: bool
    damping: float = 0.0
    noise: Noise | None = None

    def of(self, recursion: jax.Array | int) -> "Depth":
        """Depth with the noise of recursion number `recursion`."""
        return self._replace(noise=self.noise and self.noise.of(recursion))


Recursion = Callable[[Networks, Latents, jax.Array, Depth], Latents]
"""(networks, latents, embedded question x, depth) -> latents; `depth.T` is not used."""

Gradient = Callable[[Recursion, Networks, Networks, Latents, jax.Array, Depth], Latents]
"""(recursion, networks, the same networks without gradient to their parameters, latents, x, depth)
-> latents."""


def settle(
    net: Network, old: jax.Array, h: jax.Array, depth: Depth, number: jax.Array | int
) -> jax.Array:
    """The state after an update: damping * old + (1 - damping) * net(h), plus noise.

    By default, as published, both are zero and it is net(h). Source: Equilibrium Reasoners, arXiv
    2605.21488, "noise injection", with damping 0.05 and noise 0.01.

    Args:
      net: the network.
      old: the state to update.
      h: input of the network.
      depth: its damping and noise are used.
      number: number of the update within its recursion: 0, ..., n - 1 for z, and n for y.
    """
    new = net(h)
    if depth.damping:
        new = depth.damping * old + (1 - depth.damping) * new
    return depth.noise.of(number).add(new) if depth.noise else new


def latent_recursion(nets: Networks, latents: Latents, x: jax.Array, depth: Depth) -> Latents:
    """TRM's recursion, paper figure 3: n times z = net(z + (y + x)), then y = net(y + z).

    Args:
      nets: the networks.
      latents: (y, z), each of x's shape.
      x: the embedded question.
      depth: its n, unroll, damping and noise are used.

    Returns:
      The new (y, z).
    """
    y, z = latents
    z = _repeat(nets.z, z, y + x, depth)
    return settle(nets.y, y, y + z, depth, depth.n), z


def single_recursion(nets: Networks, latents: Latents, x: jax.Array, depth: Depth) -> Latents:
    """A recursion with a single latent, paper table 2: n times z = net(z + x), then z = net(z).

    Args and returns: as for `latent_recursion`, with latents (z,).
    """
    (z,) = latents
    z = _repeat(nets.z, z, x, depth)
    return (settle(nets.y, z, z, depth, depth.n),)


def multi_scale_recursion(nets: Networks, latents: Latents, x: jax.Array, depth: Depth) -> Latents:
    """A recursion with one latent per update, paper table 2.

    For i = 1..n: z_i = net(z_1 + ... + z_n + (y + x)); then y = net(y + z_1 + ... + z_n).

    Args and returns: as for `latent_recursion`, with latents (y, z_1, ..., z_n). It is always
    unrolled, since each update is of another latent.
    """
    y, *zs = latents
    injection = y + x
    for i in range(depth.n):
        zs[i] = settle(nets.z, zs[i], functools.reduce(jax.lax.add, zs) + injection, depth, i)
    return settle(nets.y, y, y + functools.reduce(jax.lax.add, zs), depth, depth.n), *zs


def direct_prediction(nets: Networks, latents: Latents, x: jax.Array, depth: Depth) -> Latents:
    """No recursion, the baseline of the HRM paper: y = net(y + x).

    Args and returns: as for `latent_recursion`, with latents (y,); T and n are not used.
    """
    (y,) = latents
    return (settle(nets.y, y, y + x, depth, 0),)


def last_recursion(
    recursion: Recursion,
    nets: Networks,
    frozen: Networks,
    latents: Latents,
    x: jax.Array,
    depth: Depth,
) -> Latents:
    """T - 1 recursions without gradient, then one with (`deep_recursion` in the paper's figure 3).

    The gradient is stopped at the *inputs* of the first T - 1 recursions, including their
    parameters, so that nothing of them is stored for the backward pass. If only their output were
    stopped, it would be up to the compiler to drop the stored activations.

    Args:
      recursion: one of the recursions above.
      nets: the networks.
      frozen: the same networks, without gradient to their parameters.
      latents: the latents that the recursion takes.
      x: the embedded question.
      depth: T recursions of n latent updates each.

    Returns:
      The new latents.
    """
    latents = _without_gradient(recursion, frozen, latents, x, depth)
    return recursion(nets, latents, x, depth.of(depth.T - 1))


def last_updates(
    recursion: Recursion,
    nets: Networks,
    frozen: Networks,
    latents: Latents,
    x: jax.Array,
    depth: Depth,
) -> Latents:
    """T recursions of (y, z), with gradient only through the last update of each state.

    HRM's one-step approximation of the gradient at a fixed point (arXiv 2506.21734, section 2.2);
    "1-step gradient" in the TRM paper's table 1.

    Args and returns: as for `last_recursion`.
    """
    y, z = _without_gradient(recursion, frozen, latents, x, depth)
    last = depth.of(depth.T - 1)
    z = _repeat(frozen.z, z, jax.lax.stop_gradient(y + x), last._replace(n=depth.n - 1))
    # its updates are numbered from 0 again, so it needs noise keys of its own
    return recursion(nets, (y, z), x, depth.of(depth.T)._replace(n=1))


def single_pass(
    recursion: Recursion,
    nets: Networks,
    frozen: Networks,
    latents: Latents,
    x: jax.Array,
    depth: Depth,
) -> Latents:
    """Applies the recursion once, with gradient; `depth.T` is not used.

    Args and returns: as for `last_recursion`.
    """
    del frozen
    return recursion(nets, jax.lax.stop_gradient(latents), x, depth.of(0))


def _repeat(net: Network, z: jax.Array, injection: jax.Array, depth: Depth) -> jax.Array:
    """Applies z = net(z + injection) n times, with damping and noise (`settle`)."""

    def update(z: jax.Array, number: Any) -> tuple[jax.Array, None]:
        return settle(net, z, z + injection, depth, number), None

    unroll = max(depth.n, 1) if depth.unroll else 1
    return jax.lax.scan(update, z, _numbers(depth.n, depth), length=depth.n, unroll=unroll)[0]


def _without_gradient(
    recursion: Recursion, frozen: Networks, latents: Latents, x: jax.Array, depth: Depth
) -> Latents:
    """Applies the first T - 1 recursions, without gradient."""
    latents, x = jax.lax.stop_gradient((latents, x))

    def recurse(latents: Latents, number: Any) -> tuple[Latents, None]:
        return recursion(frozen, latents, x, depth.of(number)), None

    count = depth.T - 1
    return jax.lax.scan(recurse, latents, _numbers(count, depth), length=count)[0]


def _numbers(count: int, depth: Depth) -> jax.Array | None:
    """0, 1, ... as inputs of a loop; None without noise, which alone uses them."""
    return jnp.arange(count) if depth.noise else None
