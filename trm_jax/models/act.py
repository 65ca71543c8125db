"""The masked carry of adaptive computation time: fill, refill, halt."""

import jax
import jax.numpy as jnp
from flax import struct

from trm_jax.core.numerics import truncated_normal
from trm_jax.core.types import Batch, Carry, Latents
from trm_jax.models.settings import ModelConfig

# What is folded into a step's key for different draws; 0 and 1 would give `split`'s own two keys.
START, NOISE = 2, 3


def empty_carry(config: ModelConfig, initial: Latents, batch_size: int, chains: int = 1) -> Carry:
    """A carry in which every slot has halted, so that the first step fills all of them.

    Args:
      config: of the model.
      initial: the fixed initial vectors, each [D].
      batch_size: B.
      chains: K, see `trm_jax.train.chains`.

    Returns:
      A carry of zeros; latents have the activations' dtype.
    """
    cells = jnp.zeros((batch_size, config.cells), jnp.int32)
    return Carry(
        latents=tuple(
            jnp.zeros(shape, config.dtype)
            for shape in _shapes(config, len(initial), batch_size, chains)
        ),
        steps=jnp.zeros((batch_size,), jnp.int32),
        halted=jnp.ones((batch_size,), bool),
        # a copy: no two fields may share a buffer, or the state could not be donated
        batch=Batch(inputs=cells, labels=jnp.copy(cells), ids=jnp.zeros((batch_size,), jnp.int32)),
    )


def _shapes(config: ModelConfig, states: int, slots: int, chains: int) -> list[tuple[int, ...]]:
    """Of each state; with several chains all but the first have an axis for them."""
    one, many = (), (chains,) if chains > 1 else ()
    between = [one, *[many] * (states - 1)]
    return [(slots, *axis, config.tokens, config.width) for axis in between]


def chain_count(carry: Carry) -> int:
    """K, the chains of each example; see `trm_jax.train.chains`."""
    last = carry.latents[-1]
    return last.shape[1] if last.ndim == 4 else 1


def refill(carry: Carry, incoming: Batch, initial: Latents) -> Carry:
    """Halted slots take the incoming example with fresh latents; the others stay as they are.

    Args:
      carry: after the previous step.
      incoming: one example for each slot; those offered to busy slots are passed over.
      initial: the fixed initial vectors, each [D], broadcast over the tokens; or states for
        each slot, see `draw_start`.

    Returns:
      The carry to take a supervision step on; `halted` still says which slots are new.
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
    """States for examples that begin at this step.

    Source of the random ones: Equilibrium Reasoners, arXiv 2605.21488, "random initialization".

    Args:
      config: of the model.
      initial: the fixed initial vectors, each [D].
      slots: B.
      key: of the step, see `explore`.
      chains: K, see `trm_jax.train.chains`.

    Returns:
      `initial` itself where `config.start` is "fixed"; else as many arrays float32 [B, L, D], with
      chains all but the first [B, K, L, D], each entry drawn from the truncated normal of
      deviation 1.
    """
    if config.start == "fixed":
        return initial

    def draw(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
        return jax.vmap(lambda k: truncated_normal(k, shape[1:], 1.0))(jax.random.split(key, slots))

    keys = jax.random.split(jax.random.fold_in(key, START), len(initial))
    return tuple(map(draw, keys, _shapes(config, len(initial), slots, chains)))


class Exploration(struct.PyTreeNode):
    """What is random in one step: which slots may not stop early, and noise.

    Attributes:
      explores: bool [B].
      minimum: int32 [B], steps that a slot which explores takes at least.
      noise_keys: random keys [B]; None where no noise is added to the states.
    """

    explores: jax.Array
    minimum: jax.Array
    noise_keys: jax.Array | None = None


def explore(config: ModelConfig, slots: int, key: jax.Array) -> Exploration:
    """Draws the exploration of one step.

    To keep hard examples from being given up early, a slot must with probability
    `halt_exploration` first reach a random minimum of 2..N steps, drawn anew at each step as in the
    published code.

    Args:
      config: of the model.
      slots: B.
      key: of the step; slot i depends on the key and i alone, however the batch is sharded.
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
