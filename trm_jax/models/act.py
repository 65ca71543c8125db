"""The carry of adaptive computation time (ACT): refilling slots, exploration and halting."""

import jax
import jax.numpy as jnp
from flax import struct

from trm_jax.core.numerics import truncated_normal
from trm_jax.core.types import Batch, Carry, Latents
from trm_jax.models.settings import ModelConfig

# Folded into a step's key for further draws; 0 and 1 would repeat the keys that `split` returns.
START, NOISE = 2, 3


def empty_carry(config: ModelConfig, initial: Latents, batch_size: int, chains: int = 1) -> Carry:
    """Makes a carry in which every slot has halted, so that the first step fills all of them.

    Args:
      config: config of the model.
      initial: the fixed initial vectors, each [D].
      batch_size: number of slots, B.
      chains: number of chains, K, see `trm_jax.train.chains`.

    Returns:
      A carry of zeros; its latents have the activations' dtype.
    """
    cells = jnp.zeros((batch_size, config.cells), jnp.int32)
    return Carry(
        latents=tuple(
            jnp.zeros(shape, config.dtype)
            for shape in _shapes(config, len(initial), batch_size, chains)
        ),
        steps=jnp.zeros((batch_size,), jnp.int32),
        halted=jnp.ones((batch_size,), bool),
        # a copy: two fields must not share a buffer, or the state could not be donated
        batch=Batch(inputs=cells, labels=jnp.copy(cells), ids=jnp.zeros((batch_size,), jnp.int32)),
    )


def _shapes(config: ModelConfig, states: int, slots: int, chains: int) -> list[tuple[int, ...]]:
    """Shape of each state; with several chains all states but the first have an axis for them."""
    one, many = (), (chains,) if chains > 1 else ()
    between = [one, *[many] * (states - 1)]
    return [(slots, *axis, config.tokens, config.width) for axis in between]


def chain_count(carry: Carry) -> int:
    """Number of chains of each example, K; see `trm_jax.train.chains`."""
    last = carry.latents[-1]
    return last.shape[1] if last.ndim == 4 else 1


def refill(carry: Carry, incoming: Batch, initial: Latents) -> Carry:
    """Gives halted slots the incoming example and fresh latents; other slots are unchanged.

    Args:
      carry: carry after the previous step.
      incoming: one example for each slot; those for slots that have not halted are dropped.
      initial: the fixed initial vectors, each [D], broadcast over the tokens; or the states for
        each slot, see `draw_start`.

    Returns:
      The carry for the next supervision step; `halted` still marks the refilled slots.
    """

    def choose(new: jax.Array, old: jax.Array) -> jax.Array:
        halted = carry.halted.reshape(-1, *[1] * (old.ndim - 1))
        return jnp.where(halted, new.astype(old.dtype), old)

    return carry.replace(
        latents=tuple(
            choose(new[None, None] if new.ndim == 1 else new, latent)
            for new, latent in zip(initial, carry.latents, strict=True)
        ),
        steps=choose(jnp.zeros_like(carry.steps), carry.steps),
        batch=jax.tree.map(choose, incoming, carry.batch),
    )


def draw_start(
    config: ModelConfig, initial: Latents, slots: int, key: jax.Array, chains: int = 1
) -> Latents:
    """Initial states for examples that start at this step.

    Source of random states: Equilibrium Reasoners, arXiv 2605.21488, "random initialization".

    Args:
      config: config of the model.
      initial: the fixed initial vectors, each [D].
      slots: number of slots, B.
      key: random key of the step, see `explore`.
      chains: number of chains, K, see `trm_jax.train.chains`.

    Returns:
      `initial` itself if `config.start` is "fixed". Otherwise one array float32 [B, L, D] for each
      state, with chains [B, K, L, D] for all but the first, drawn from the truncated normal of
      standard deviation 1.
    """
    if config.start == "fixed":
        return initial

    def draw(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
        return jax.vmap(lambda k: truncated_normal(k, shape[1:], 1.0))(jax.random.split(key, slots))

    keys = jax.random.split(jax.random.fold_in(key, START), len(initial))
    return tuple(map(draw, keys, _shapes(config, len(initial), slots, chains)))


class Exploration(struct.PyTreeNode):
    """Random numbers of one training step: halting exploration, and keys for noise.

    Attributes:
      explores: bool [B], whether the slot must reach a minimum number of steps.
      minimum: int32 [B], that minimum.
      noise_keys: random keys [B] for noise on the states; None without noise.
    """

    explores: jax.Array
    minimum: jax.Array
    noise_keys: jax.Array | None = None


def explore(config: ModelConfig, slots: int, key: jax.Array) -> Exploration:
    """Draws the exploration of one step.

    So that hard examples do not halt too early, a slot must reach a random minimum of 2..N steps
    with probability `halt_exploration`. Both are drawn again at each step, as in the published
    code.

    Args:
      config: config of the model.
      slots: number of slots, B.
      key: random key of the step; slot i depends only on the key and i, not on the sharding.
    """
    explore_key, minimum_key = jax.random.split(key)
    lowest = min(2, config.N)
    return Exploration(
        explores=jax.random.uniform(explore_key, (slots,)) < config.halt_exploration,
        minimum=jax.random.randint(minimum_key, (slots,), lowest, config.N + 1),
        noise_keys=jax.random.split(jax.random.fold_in(key, NOISE), slots)
        if config.noise
        else None,
    )


def train_halt(
    config: ModelConfig, steps: jax.Array, wants_to_halt: jax.Array, exploration: Exploration
) -> jax.Array:
    """Whether each slot halts after this step in training: at N steps or by its halting logits.

    Args:
      config: config of the model.
      steps: int32 [B], supervision steps including this one.
      wants_to_halt: bool [B], see `Model.wants_to_halt`.
      exploration: exploration of this step; an exploring slot does not halt before its minimum.

    Returns:
      bool [B].
    """
    stops = (steps >= config.N) | wants_to_halt
    return stops & (~exploration.explores | (steps >= exploration.minimum))


def eval_halt(config: ModelConfig, steps: jax.Array) -> jax.Array:
    """Whether each slot halts in evaluation, bool [B]: after N steps, as in the published code."""
    return steps >= config.N
