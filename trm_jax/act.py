"""The masked carry of adaptive computation time: fill, refill, halt."""

import jax
import jax.numpy as jnp
from flax import struct

from trm_jax.types import Batch, Carry, Latents, ModelConfig


def empty_carry(config: ModelConfig, initial: Latents, batch_size: int) -> Carry:
    """A carry in which every slot has halted, so that the first step fills all of them.

    Args:
      config: of the model.
      initial: the fixed initial vectors, each [D].
      batch_size: B.

    Returns:
      A carry of zeros; latents have the activations' dtype.
    """
    shape = (batch_size, config.tokens, config.width)
    cells = jnp.zeros((batch_size, config.cells), jnp.int32)
    return Carry(
        latents=tuple(jnp.zeros(shape, config.dtype) for _ in initial),
        steps=jnp.zeros((batch_size,), jnp.int32),
        halted=jnp.ones((batch_size,), bool),
        # a copy: no two fields may share a buffer, or the state could not be donated
        batch=Batch(inputs=cells, labels=jnp.copy(cells), ids=jnp.zeros((batch_size,), jnp.int32)),
    )


def refill(carry: Carry, incoming: Batch, initial: Latents) -> Carry:
    """Halted slots take the incoming example with fresh latents; the others stay as they are.

    Args:
      carry: after the previous step.
      incoming: one example for each slot; those offered to busy slots are passed over.
      initial: the fixed initial vectors, each [D], broadcast over the tokens.

    Returns:
      The carry to take a supervision step on; `halted` still says which slots are new.
    """

    def choose(new: jax.Array, old: jax.Array) -> jax.Array:
        halted = carry.halted.reshape(-1, *[1] * (old.ndim - 1))
        return jnp.where(halted, new.astype(old.dtype), old)

    return carry.replace(
        latents=tuple(
            choose(vector[None, None], latent)
            for vector, latent in zip(initial, carry.latents, strict=True)
        ),
        steps=choose(jnp.zeros_like(carry.steps), carry.steps),
        batch=jax.tree.map(choose, incoming, carry.batch),
    )


class Exploration(struct.PyTreeNode):
    """Which slots may not stop early, however sure they are.

    Attributes:
      explores: bool [B].
      minimum: int32 [B], steps that a slot which explores takes at least.
    """

    explores: jax.Array
    minimum: jax.Array


def explore(config: ModelConfig, slots: int, key: jax.Array) -> Exploration:
    """Draws the exploration of one step.

    To keep hard examples from being given up early, a slot must with probability
    `halt_exploration` first reach a random minimum of 2..N steps, drawn anew at each step as in the
    published code.

    Args:
      config: of the model.
      slots: B.
      key: consumed; slot i depends on the key and i alone, however the batch is sharded.
    """
    explore_key, minimum_key = jax.random.split(key)
    lowest = min(2, config.N)
    return Exploration(
        explores=jax.random.uniform(explore_key, (slots,)) < config.halt_exploration,
        minimum=jax.random.randint(minimum_key, (slots,), lowest, config.N + 1),
    )


def train_halt(
    config: ModelConfig, steps: jax.Array, wants_to_halt: jax.Array, exploration: Exploration
) -> jax.Array:
    """Which slots stop after this step in training: at N steps, or when their heads say so.

    Args:
      config: of the model.
      steps: int32 [B], this step included.
      wants_to_halt: bool [B], see `Model.wants_to_halt`.
      exploration: of this step; a slot that explores goes on until its minimum.

    Returns:
      bool [B].
    """
    stops = (steps >= config.N) | wants_to_halt
    return stops & (~exploration.explores | (steps >= exploration.minimum))


def eval_halt(config: ModelConfig, steps: jax.Array) -> jax.Array:
    """Bool [B]: in evaluation every slot takes all N steps, as published."""
    return steps >= config.N
