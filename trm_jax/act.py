"""The masked carry of adaptive computation time: fill, refill, halt."""

import jax
import jax.numpy as jnp

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


def train_halt(
    config: ModelConfig, steps: jax.Array, wants_to_halt: jax.Array, key: jax.Array
) -> jax.Array:
    """Which slots stop after this step in training.

    A slot stops at N steps, or when its heads say so. To keep hard examples from being given up
    early, a slot must with probability `halt_exploration` first reach a random minimum of 2..N
    steps, drawn anew at each step as in the published code.

    Args:
      config: of the model.
      steps: int32 [B], this step included.
      wants_to_halt: bool [B], see `Model.wants_to_halt`.
      key: consumed; slot i depends on the key and i alone, however the batch is sharded.

    Returns:
      bool [B].
    """
    explore_key, minimum_key = jax.random.split(key)
    explore = jax.random.uniform(explore_key, steps.shape) < config.halt_exploration
    lowest = min(2, config.N)
    minimum = jax.random.randint(minimum_key, steps.shape, lowest, config.N + 1)
    stops = (steps >= config.N) | wants_to_halt
    return stops & (~explore | (steps >= minimum))


def eval_halt(config: ModelConfig, steps: jax.Array) -> jax.Array:
    """Bool [B]: in evaluation every slot takes all N steps, as published."""
    return steps >= config.N
