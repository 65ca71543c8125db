"""Winner take all: several chains of states for one example, of which the best is learned from.

The chains of an example share y and differ in z, which is drawn for each when the example begins.
In a supervision step all of them go one step on; the chain of lowest token loss wins, loss and
gradient are its alone, its y becomes that of all, and each keeps its own z ("copy/all").
Evaluation has one chain.
Source: "Speed is Confidence", arXiv 2601.19085, section 3.3 and algorithm "Oracle-First Training".
There the first z of each chain are a few vectors, fixed or learned; here they are drawn anew for
every example, as `config.model.start` "random" has it.

In a carry with K chains every state but the first is [B, K, L, D], the first [B, L, D].
"""

from typing import Any

import jax
import jax.numpy as jnp

from trm_jax.core.types import Carry, Latents
from trm_jax.models import Model, losses
from trm_jax.models.act import chain_count
from trm_jax.models.settings import LossConfig


def compete(
    params: Any,
    rows: jax.Array,
    carry: Carry,
    model: Model,
    noise_keys: jax.Array | None,
    loss_config: LossConfig,
) -> tuple[Carry, Latents, jax.Array | None]:
    """One supervision step of all chains, without gradient, to see which wins.

    Nothing of it is stored for a backward pass: whoever learns takes the winner's step once more,
    from the states that are returned.

    Args:
      params: dense parameters.
      rows: [B, E], the puzzle-table rows of the carry's examples.
      carry: refilled, with K chains.
      model: from the registry.
      noise_keys: random keys [B], None without noise.
      loss_config: its token loss decides.

    Returns:
      The carry with the winner's states alone, each [B, L, D], before the step; the states but the
      first of all chains after it, each [B, K, L, D]; the winner's noise keys [B].
    """
    params, rows = jax.lax.stop_gradient((params, rows))
    count = chain_count(carry)
    slots = rows.shape[0]

    def spread(a: jax.Array) -> jax.Array:
        return jnp.repeat(a, count, axis=0)

    def by_chain(a: jax.Array) -> jax.Array:
        return a.reshape(slots, count, *a.shape[1:])

    y, *zs = carry.latents
    latents = (spread(y), *(z.reshape(-1, *z.shape[2:]) for z in zs))
    keys = None
    if noise_keys is not None:
        keys = jax.vmap(lambda key: jax.random.split(key, count))(noise_keys).reshape(-1)
    batch = carry.batch
    after, output = model.supervision_step(
        params, latents, spread(batch.inputs), spread(rows), keys
    )
    token = losses.token_loss(output.logits, spread(batch.labels), loss_config)
    winner = jnp.argmin(by_chain(token), axis=1)

    def winners(a: jax.Array) -> jax.Array:
        """Of each slot's chains [B, K, ...] the one that won."""
        return jax.vmap(lambda chains, place: chains[place])(a, winner)

    alone = carry.replace(latents=(y, *(winners(z) for z in zs)))
    kept = tuple(by_chain(z) for z in after[1:])
    return alone, kept, None if keys is None else winners(by_chain(keys))
