"""Optimizers of the dense parameters, their schedule, and the moving average."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from trm_jax.types import OptimizerConfig


class AdamATan2State(NamedTuple):
    """updates: int32 (), how many were made; mu, nu: moments, trees like the params."""

    updates: jax.Array
    mu: Any
    nu: Any


def scale_by_adam_atan2(b1: float, b2: float) -> optax.GradientTransformation:
    r"""Adam with atan2 in place of a division: scale-invariant, no epsilon, no clipping.

    .. math::
        m \leftarrow b_1 m + (1 - b_1) g \qquad v \leftarrow b_2 v + (1 - b_2) g^2 \\
        u = \frac{1}{1 - b_1^t} \, \mathrm{atan2}(m, \sqrt{v} / \sqrt{1 - b_2^t})

    The bias correction of m stands *outside* atan2, as in the optimizer that the published models
    were trained with; inside, the first updates would differ.
    Source: Everett et al., "Scaling exponents across parameterizations and optimizers",
    arXiv 2407.05872, section 5; the scale factors of that paper are 1 here.

    Args:
      b1: decay of the first moment.
      b2: decay of the second moment.

    Returns:
      An optax transformation whose updates point uphill; scale them by minus the learning rate.
    """

    def init(params: Any) -> AdamATan2State:
        zeros = jax.tree.map(jnp.zeros_like, params)
        return AdamATan2State(jnp.zeros((), jnp.int32), zeros, jax.tree.map(jnp.copy, zeros))

    def update(grads: Any, state: AdamATan2State, params: Any = None) -> tuple[Any, Any]:
        del params
        count = optax.safe_increment(state.updates)
        mu = jax.tree.map(lambda m, g: b1 * m + (1 - b1) * g, state.mu, grads)
        nu = jax.tree.map(lambda v, g: b2 * v + (1 - b2) * jnp.square(g), state.nu, grads)

        def direction(m: jax.Array, v: jax.Array) -> jax.Array:
            t = count.astype(m.dtype)
            return jnp.arctan2(m, jnp.sqrt(v) / jnp.sqrt(1 - b2**t)) / (1 - b1**t)

        return jax.tree.map(direction, mu, nu), AdamATan2State(count, mu, nu)

    return optax.GradientTransformation(init, update)


def schedule(peak: float, config: OptimizerConfig, total_steps: int) -> optax.Schedule:
    """Linear warm-up, then a cosine from `peak` down to `lr_min_ratio * peak`; 1.0 is constant.

    The first update (count 0) already has rate peak / warmup, and update number `warmup` has
    the peak, as in the published code.

    Args:
      peak: learning rate after the warm-up.
      config: its `warmup` and `lr_min_ratio` are read.
      total_steps: updates of the whole run; the cosine ends there.

    Returns:
      Function of the int32 count of updates done.
    """
    decay_steps = max(1, total_steps - config.warmup)
    cosine = optax.cosine_decay_schedule(peak, decay_steps, alpha=config.lr_min_ratio)

    def rate(count: jax.Array) -> jax.Array:
        number = (count + 1).astype(jnp.result_type(float))
        rising = peak * number / max(1, config.warmup)
        after = jnp.maximum(number - config.warmup, 0)
        return jnp.where(number < config.warmup, rising, cosine(after))

    return rate


def dense_optimizer(config: OptimizerConfig, total_steps: int) -> optax.GradientTransformation:
    """The optimizer of all dense parameters, with decoupled weight decay on every one of them.

    p <- p (1 - lr wd) - lr u, where u is Adam's or AdamATan2's direction. Decay covers biases and
    embeddings too, as published.

    Args:
      config: names the optimizer, "adam_atan2" or "adamw", and its constants.
      total_steps: see `schedule`.

    Returns:
      An optax transformation; its updates are added to the parameters.
    """
    scale = {
        "adam_atan2": lambda: scale_by_adam_atan2(config.b1, config.b2),
        "adamw": lambda: optax.scale_by_adam(config.b1, config.b2),
    }[config.name]()
    return optax.chain(
        scale,
        optax.add_decayed_weights(config.weight_decay),
        optax.scale_by_learning_rate(schedule(config.lr, config, total_steps)),
    )


def ema_update(average: Any, new: Any, decay: float) -> Any:
    """Average <- decay * average + (1 - decay) * new, over trees of equal structure."""
    return jax.tree.map(lambda a, p: decay * a + (1 - decay) * p, average, new)
