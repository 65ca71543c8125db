"""Losses and metrics of a supervision step: token loss, halting losses, exactness."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from numpy.typing import NDArray

from trm_jax.core.numerics import log_stablemax, wide
from trm_jax.core.types import IGNORE
from trm_jax.models.settings import LossConfig

PUBLISHED = LossConfig()
PER_ROW_METRICS = ("count", "cell_accuracy", "exact_accuracy", "halt_accuracy", "steps")


def token_loss(logits: jax.Array, labels: jax.Array, config: LossConfig = PUBLISHED) -> jax.Array:
    """Cross-entropy of stable-max or softmax, averaged over the counted cells of each example.

    With label smoothing e, the target distribution of a cell is (1 - e) on its label plus e / V on
    every token. Source: Szegedy et al., "Rethinking the Inception architecture", arXiv 1512.00567,
    section 7; with softmax and e = 0.2 in "Speed is Confidence", arXiv 2601.19085, section 3.3.

    Args:
      logits: [B, S, V]; the loss is computed in `wide`.
      labels: int32 [B, S], IGNORE where a cell is not counted.
      config: its `kind` and `label_smoothing` are used.

    Returns:
      Losses [B]; 0 for an example without counted cells.
    """
    counted = labels != IGNORE
    logits = logits.astype(wide(logits.dtype))
    log_p = jax.nn.log_softmax(logits) if config.kind == "softmax" else log_stablemax(logits)
    targets = jnp.where(counted, labels, 0)[..., None]
    losses = -jnp.take_along_axis(log_p, targets, axis=-1)[..., 0]
    if config.label_smoothing:
        share = config.label_smoothing
        losses = (1 - share) * losses - share * jnp.mean(log_p, axis=-1)
    return jnp.sum(jnp.where(counted, losses, 0), axis=-1) / _divisor(counted).astype(losses.dtype)


def step_weights(config: LossConfig, most: int) -> NDArray[np.float64]:
    """Weight of each supervision step t = 1, ..., N, float64 [N]: step_decay^(t - 1), rescaled.

    The weights are divided by their mean, so that an example that takes all N steps has the same
    total weight for any `step_decay`, and learning rate, clipping and weight decay keep their
    meaning. (Dividing by the mean over a batch's slots would make an example's weight depend on
    the other slots.) The halting loss is weighted like the token loss.
    Source: CGAR, arXiv 2511.08653, "hierarchical supervision weighting", with 0.7.

    Args:
      config: its `step_decay` is used.
      most: max number of supervision steps, N.
    """
    weights = config.step_decay ** np.arange(most, dtype=np.float64)
    return weights / weights.mean()


def halt_loss(halt_logits: jax.Array, exact: jax.Array) -> jax.Array:
    """Binary cross-entropy [B] of the halt logits [B] with target `exact`, bool [B]."""
    return optax.sigmoid_binary_cross_entropy(halt_logits, exact.astype(halt_logits.dtype))


def continue_loss(continue_logits: jax.Array, target: jax.Array) -> jax.Array:
    """Binary cross-entropy [B] of the continue logits [B] with target probabilities [B]."""
    return optax.sigmoid_binary_cross_entropy(continue_logits, target)


def exactness(predictions: jax.Array, labels: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Accuracy of predictions.

    Args:
      predictions: token ids [..., S].
      labels: int32 [..., S], IGNORE where a cell is not counted.

    Returns:
      The fraction of counted cells that are right, float32 [...], and whether all are, bool [...].
      An example without counted cells has fraction 0 and counts as all right, as in the published
      code.
    """
    counted = labels != IGNORE
    right = jnp.sum(counted & (predictions == labels), axis=-1)
    share = right.astype(jnp.float32) / _divisor(counted).astype(jnp.float32)
    return share, right == jnp.sum(counted, axis=-1)


def step_metrics(
    *,
    token_losses: jax.Array,
    halt_losses: jax.Array,
    cell_accuracy: jax.Array,
    exact: jax.Array,
    halt_logits: jax.Array,
    labels: jax.Array,
    steps: jax.Array,
    halted: jax.Array,
) -> dict[str, jax.Array]:
    """Sums of metrics over the batch, to be divided by the counts among them.

    `halted/...` covers only the slots that halt in this step, as in the published code, and is
    biased upwards, since easy examples halt more often. `all/...` covers every slot.

    Args:
      token_losses: [B].
      halt_losses: [B].
      cell_accuracy: float32 [B], fraction of counted cells that are right.
      exact: bool [B], whether all counted cells are right.
      halt_logits: [B].
      labels: int32 [B, S].
      steps: int32 [B], supervision steps including this one.
      halted: bool [B], whether the slot halts in this step.

    Returns:
      float32 scalars by name; `all/count` and `halted/count` count examples with a counted cell.
    """
    valid = jnp.any(labels != IGNORE, axis=-1)
    right_halt = (halt_logits >= 0) == exact
    sums = {
        "token_loss": jnp.sum(token_losses),
        "halt_loss": jnp.sum(halt_losses),
    }
    for name, mask in (("all", valid), ("halted", valid & halted)):
        rows = (jnp.ones_like(exact), cell_accuracy, exact, right_halt, steps)
        sums |= {
            f"{name}/{key}": jnp.sum(jnp.where(mask, value.astype(jnp.float32), 0))
            for key, value in zip(PER_ROW_METRICS, rows, strict=True)
        }
    return {key: value.astype(jnp.float32) for key, value in sums.items()}


def _divisor(counted: jax.Array) -> jax.Array:
    """Number of counted cells of each example, at least 1."""
    return jnp.maximum(jnp.sum(counted, axis=-1), 1)
