"""The loss of a supervision step, and its gradient over all devices with one all-reduce."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, PartitionSpec

from trm_jax.core.mesh import SLOTS
from trm_jax.core.types import Carry, Output
from trm_jax.models import Model, act, losses
from trm_jax.models.act import Exploration
from trm_jax.models.losses import PUBLISHED
from trm_jax.models.settings import LossConfig
from trm_jax.train.chains import compete

Metrics = dict[str, jax.Array]
Gradient = Callable[[Any, jax.Array, Carry, Exploration], tuple[Any, jax.Array, Carry, Metrics]]


def supervise(
    params: Any,
    rows: jax.Array,
    carry: Carry,
    model: Model,
    exploration: Exploration | None,
    loss_config: LossConfig = PUBLISHED,
) -> tuple[jax.Array, tuple[Carry, Output, dict[str, jax.Array]]]:
    """Takes one supervision step of a refilled carry and computes its loss.

    Args:
      params: dense parameters.
      rows: [B, E], the puzzle-table rows of the carry's examples.
      carry: carry from `act.refill`.
      model: the model.
      exploration: halting exploration and noise; None in evaluation, where every slot takes all N
        steps and there is no continue loss and no noise.
      loss_config: config of the loss.

    Returns:
      The loss summed over the batch, token loss + halt_weight (halting loss + continue loss), with
      each example's weighted by `losses.step_weights`; and the new carry (without gradient), the
      output and the metric sums.
    """
    config, labels = model.config, carry.batch.labels
    noise_keys = None if exploration is None else exploration.noise_keys
    latents, output = model.supervision_step(
        params, carry.latents, carry.batch.inputs, rows, noise_keys
    )
    predictions = jnp.argmax(output.logits, axis=-1).astype(jnp.int32)
    cell_accuracy, exact = losses.exactness(predictions, labels)
    token = losses.token_loss(output.logits, labels, loss_config)
    halting = losses.halt_loss(output.halt_logits, exact)
    steps = carry.steps + 1
    if exploration is None:
        halted = act.eval_halt(config, steps)
    else:
        halted = act.train_halt(config, steps, model.wants_to_halt(output), exploration)
    metrics = losses.step_metrics(
        token_losses=token,
        halt_losses=halting,
        cell_accuracy=cell_accuracy,
        exact=exact,
        halt_logits=output.halt_logits,
        labels=labels,
        steps=steps,
        halted=halted,
    )
    carry = carry.replace(latents=jax.lax.stop_gradient(latents), steps=steps, halted=halted)
    if model.learns_to_continue and exploration is not None:
        target = continue_target(params, rows, carry, model)
        continuing = losses.continue_loss(output.continue_logits, target)
        metrics["continue_loss"] = jnp.sum(continuing).astype(jnp.float32)
        halting = halting + continuing
    if loss_config.step_decay != 1:
        weights = jnp.asarray(losses.step_weights(loss_config, config.N), token.dtype)[steps - 1]
        token, halting = weights * token, weights.astype(halting.dtype) * halting
    loss = jnp.sum(token) + loss_config.halt_weight * jnp.sum(halting)
    return loss, (carry, output, metrics)


def continue_target(params: Any, rows: jax.Array, carry: Carry, model: Model) -> jax.Array:
    """Target of the continue logits: the value of the next step (HRM, section 2.3).

    HRM's Q-learning without replay or target network: one more supervision step from the new
    carry, without gradient or noise. The value is the halt value if that step is the last one,
    else the larger of both values.

    Args:
      params: dense parameters.
      rows: [B, E], the puzzle-table rows of the carry's examples.
      carry: carry after the step that computed the continue logits.
      model: the model.

    Returns:
      Probabilities float32 [B], without gradient.
    """
    params, rows = jax.lax.stop_gradient((params, rows))
    _, after = model.supervision_step(params, carry.latents, carry.batch.inputs, rows)
    choice = jnp.maximum(after.halt_logits, after.continue_logits)
    must_halt = carry.steps >= model.config.N
    return jax.nn.sigmoid(jnp.where(must_halt, after.halt_logits, choice))


def over_devices(
    model: Model, mesh: Mesh, parts: int, loss_config: LossConfig = PUBLISHED
) -> Gradient:
    """Makes a function for the gradient of the mean loss, with slots split over devices.

    Each device sums over its slots and all uses of a weight, and then the sums of all devices are
    added in one all-reduce for all arrays. (The compiler alone would exchange the gradient of
    every use of a weight, n + 1 times as much.)

    Args:
      model: the model.
      mesh: mesh over which slots are split.
      parts: number of microbatches that a device processes one after the other, which divides the
        memory for the backward pass by it.
      loss_config: config of the loss.

    Returns:
      Function of the parameters, the slots' puzzle-table rows [B, E], a refilled carry and the
      exploration, which returns the gradients with respect to parameters and rows, the new carry,
      and metric sums.
    """
    everywhere, split = PartitionSpec(), PartitionSpec(SLOTS)

    def on_device(params: Any, rows: jax.Array, carry: Carry, exploration: Exploration) -> Any:
        slots = rows.shape[0] * mesh.size

        def gradient(rows: jax.Array, carry: Carry, exploration: Exploration) -> Any:
            return _gradient(params, rows, carry, exploration, model, loss_config, slots)

        work = (rows, carry, exploration)
        grads, row_grads, carry, metrics = in_parts(gradient, work, parts)
        grads, metrics = jax.lax.psum((grads, metrics), SLOTS)
        return grads, row_grads, carry, metrics

    # check_vma=False: kernels do not declare which arrays differ between devices; JAX then adds no
    # sums over devices of its own
    return jax.shard_map(
        on_device,
        mesh=mesh,
        in_specs=(everywhere, split, split, split),
        out_specs=(everywhere, split, split, everywhere),
        check_vma=False,
    )


def _gradient(
    params: Any,
    rows: jax.Array,
    carry: Carry,
    exploration: Exploration,
    model: Model,
    loss_config: LossConfig,
    batch_size: int,
) -> tuple[Any, jax.Array, Carry, Metrics]:
    """Gradients of some slots' share of the mean loss with respect to parameters and rows.

    With several chains it is the winner's, see `trm_jax.train.chains`.
    """
    kept = None
    if act.chain_count(carry) > 1:
        carry, kept, keys = compete(params, rows, carry, model, exploration.noise_keys, loss_config)
        exploration = exploration.replace(noise_keys=keys)

    def share(params: Any, rows: jax.Array) -> tuple[jax.Array, Any]:
        loss, aux = supervise(params, rows, carry, model, exploration, loss_config)
        return loss / batch_size, aux

    gradient = jax.grad(share, argnums=(0, 1), has_aux=True)
    (grads, row_grads), (carry, _, metrics) = gradient(params, rows)
    if kept is not None:
        carry = carry.replace(latents=(carry.latents[0], *kept))
    return grads, row_grads, carry, metrics


def in_parts(gradient: Callable[..., Any], slots: Any, parts: int) -> Any:
    """Computes a gradient in equal parts of the slots; sums are added, the rest is concatenated.

    Args:
      gradient: function of `slots` that returns gradients of parameters and of rows, the carry,
        and metric sums.
      slots: tuple of trees of arrays [B, ...].
      parts: number of parts, a divisor of B.
    """
    if parts == 1:
        return gradient(*slots)
    cut = jax.tree.map(lambda a: a.reshape(parts, -1, *a.shape[1:]), slots)
    first = jax.eval_shape(gradient, *jax.tree.map(lambda a: a[0], cut))

    def add(sums: Any, part: Any) -> Any:
        grads, row_grads, carry, metrics = gradient(*part)
        return jax.tree.map(jnp.add, sums, (grads, metrics)), (row_grads, carry)

    start = jax.tree.map(lambda like: jnp.zeros(like.shape, like.dtype), (first[0], first[3]))
    (grads, metrics), done = jax.lax.scan(add, start, cut)
    row_grads, carry = jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:]), done)
    return grads, row_grads, carry, metrics
