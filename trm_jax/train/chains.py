"""Winner-take-all training: several chains of latents per example, of which the best is trained on.

The chains of an example share y and differ in z, which is drawn for each chain when the example
starts. In a supervision step all chains advance one step. The chain with the lowest token loss
wins: loss and gradient are computed for it alone, and its y becomes that of all chains, while each
keeps its own z ("copy/all"). Evaluation uses a single chain.
Source: "Speed is Confidence", arXiv 2601.19085, section 3.3 and algorithm "Oracle-First Training".
There the initial z of the chains are a few vectors, fixed or learned; here they are drawn for every
example, as with `config.model.start` "random".

In a carry with K chains every state but the first is [B, K, L, D], and the first is [B, L, D].
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
    """Takes one supervision step with all chains, without gradient, and selects the winner.

    Nothing is stored for a backward pass: the caller repeats the winner's step with gradient, from
    the states that are returned.

    Args:
      params: dense parameters.
      rows: [B, E], the puzzle-table rows of the carry's examples.
      carry: refilled carry with K chains.
      model: the model.
      noise_keys: random keys [B]; None for no noise.
      loss_config: config of the token loss that decides.

    Returns:
      The carry with only the winner's states before the step, each [B, L, D]; all chains' states
      after the step except the first, each [B, K, L, D]; the winner's noise keys [B].
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
        """Selects the winner from each slot's chains [B, K, ...]."""
        return jax.vmap(lambda chains, place: chains[place])(a, winner)

    alone = carry.replace(latents=(y, *(winners(z) for z in zs)))
    kept = tuple(by_chain(z) for z in after[1:])
    return alone, kept, None if keys is None else winners(by_chain(keys))
