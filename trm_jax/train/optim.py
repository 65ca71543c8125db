"""Optimizers of the dense parameters, learning-rate schedule, and moving average."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
import optax.contrib

from trm_jax.config.experiment import OptimizerConfig


class AdamATan2State(NamedTuple):
    """State of AdamATan2: number of updates, int32 (), and moments, trees like the params."""

    updates: jax.Array
    mu: Any
    nu: Any


def scale_by_adam_atan2(b1: float, b2: float) -> optax.GradientTransformation:
    r"""Adam with atan2 instead of a division: scale-invariant, no epsilon, no clipping.

    .. math::
        m \leftarrow b_1 m + (1 - b_1) g \qquad v \leftarrow b_2 v + (1 - b_2) g^2 \\
        u = \frac{1}{1 - b_1^t} \, \mathrm{atan2}(m, \sqrt{v} / \sqrt{1 - b_2^t})

    The bias correction of m is *outside* atan2, as in the optimizer of the published models;
    inside, the first updates would differ.
    Source: Everett et al., "Scaling exponents across parameterizations and optimizers",
    arXiv 2407.05872, section 5; the scale factors of that paper are 1 here.

    Args:
      b1: decay rate of the first moment.
      b2: decay rate of the second moment.

    Returns:
      An optax transformation; its updates must be scaled by minus the learning rate.
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
    """Linear warm-up, then a cosine decay from `peak` to `lr_min_ratio * peak`.

    The first update (count 0) already has rate peak / warmup, and update number `warmup` has
    the peak, as in the published code.

    Args:
      peak: learning rate after the warm-up.
      config: its `warmup` and `lr_min_ratio` are used.
      total_steps: number of updates of the run, where the cosine ends.

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
    """Makes the optimizer of all dense parameters, with decoupled weight decay on all of them.

    p <- p (1 - lr wd) - lr u, where u is the direction of Adam, AdamATan2 or Muon. Biases and
    embeddings are decayed too, as in the published code. `config.clip` first scales the gradients
    down to that global norm.

    Args:
      config: name of the optimizer, "adam_atan2", "adamw" or "muon", and its constants.
      total_steps: see `schedule`.

    Returns:
      An optax transformation whose updates are added to the parameters.
    """
    make = {"adam_atan2": _adam_atan2, "adamw": _adamw, "muon": _muon}[config.name]
    optimizer = make(config, total_steps)
    if config.clip:
        return optax.chain(optax.clip_by_global_norm(config.clip), optimizer)
    return optimizer


def _adam_atan2(config: OptimizerConfig, total_steps: int) -> optax.GradientTransformation:
    return _decayed(scale_by_adam_atan2(config.b1, config.b2), config, total_steps)


def _adamw(config: OptimizerConfig, total_steps: int) -> optax.GradientTransformation:
    return _decayed(optax.scale_by_adam(config.b1, config.b2), config, total_steps)


def _decayed(
    scale: optax.GradientTransformation, config: OptimizerConfig, total_steps: int
) -> optax.GradientTransformation:
    """Chains `scale` with weight decay and learning rate."""
    return optax.chain(
        scale,
        optax.add_decayed_weights(config.weight_decay),
        optax.scale_by_learning_rate(schedule(config.lr, config, total_steps)),
    )


def _muon(config: OptimizerConfig, total_steps: int) -> optax.GradientTransformation:
    """Muon for the matrices of the blocks, AdamW for the rest, both with the same schedule.

    Muon replaces the momentum by the nearest orthogonal matrix: Nesterov momentum, five
    Newton-Schulz steps, times sqrt(max(1, outputs / inputs)). All kernels of the blocks, including
    those that mix tokens, are [inputs, outputs], as optax expects. Gate and up are treated as one
    matrix, and so are q, k and v, since each is one parameter.
    Source: Jordan et al., "Muon", 2024, https://kellerjordan.github.io/posts/muon/; the split into
    two groups and its constants: "Speed is Confidence", arXiv 2601.19085, section 3.4.1.
    """
    matrices = optax.contrib.muon(
        schedule(config.muon_lr, config, total_steps),
        beta=config.muon_momentum,
        weight_decay=config.muon_weight_decay,
    )
    # optax's own AdamW for the rest would use Nesterov momentum too
    groups = {"muon": matrices, "adamw": _adamw(config, total_steps)}
    return optax.partition(groups, optimizer_groups)


def optimizer_groups(params: Any) -> Any:
    """Labels each parameter with its optimizer under "muon": a tree of "muon" and "adamw".

    Args:
      params: parameters from `Model.init`; matrices below a "block_..." get Muon.
    """

    def group(path: tuple[Any, ...], leaf: jax.Array) -> str:
        inside = any(str(getattr(key, "key", "")).startswith("block_") for key in path)
        return "muon" if inside and leaf.ndim == 2 else "adamw"

    return jax.tree_util.tree_map_with_path(group, params)


def ema_decay(config: OptimizerConfig, updates: jax.Array) -> float | jax.Array:
    """Decay rate of the moving average at update number `updates`, counted from 0.

    Before update `config.ema_start` the average equals the weights, as in the code of
    "Speed is Confidence", arXiv 2601.19085.
    """
    if not config.ema_start:
        return config.ema
    return jnp.where(updates < config.ema_start, 0.0, config.ema)


def ema_update(average: Any, new: Any, decay: float | jax.Array) -> Any:
    """Computes decay * average + (1 - decay) * new over trees of equal structure."""
    return jax.tree.map(lambda a, p: decay * a + (1 - decay) * p, average, new)
