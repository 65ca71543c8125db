"""The train step: one supervision step of every slot and one optimizer update."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh

from trm_jax.config.experiment import OptimizerConfig, TableConfig
from trm_jax.core.mesh import over_slots, replicated
from trm_jax.core.types import Batch
from trm_jax.core.wording import percent
from trm_jax.models import Model, act, puzzle_table
from trm_jax.models.losses import PER_ROW_METRICS, PUBLISHED
from trm_jax.models.settings import LossConfig
from trm_jax.train.gradient import over_devices
from trm_jax.train.optim import ema_decay, ema_update, schedule
from trm_jax.train.state import TrainState, state_shardings

TrainStep = Callable[[TrainState, Batch], tuple[TrainState, dict[str, jax.Array]]]


def metric_names(model: Model) -> tuple[str, ...]:
    """Keys of the metric sums of a model's updates."""
    continuing = ("continue_loss",) if model.learns_to_continue else ()
    per_row = (f"{rows}/{key}" for rows in ("all", "halted") for key in PER_ROW_METRICS)
    return ("updates", "lr", "gradient_norm", "token_loss", "halt_loss", *continuing, *per_row)


def update(
    state: TrainState,
    batch: Batch,
    *,
    model: Model,
    optimizer: optax.GradientTransformation,
    optimizer_config: OptimizerConfig,
    table_config: TableConfig,
    total_steps: int,
    log_every: int,
    mesh: Mesh,
    parts: int = 1,
    loss_config: LossConfig = PUBLISHED,
) -> TrainState:
    """Does one optimizer update of the whole batch."""
    weights, batch_size = state.weights, state.carry.halted.shape[0]
    key = jax.random.fold_in(state.key, state.step)
    chains = act.chain_count(state.carry)
    start = act.draw_start(model.config, weights.initial, batch_size, key, chains)
    carry = act.refill(state.carry, batch, start)
    rows = puzzle_table.lookup(weights.table, carry.batch.ids, mesh)
    exploration = act.explore(model.config, batch_size, key)
    gradient = over_devices(model, mesh, parts, loss_config)
    grads, row_grads, new_carry, metrics = gradient(weights.params, rows, carry, exploration)
    updates, opt_state = optimizer.update(grads, state.opt_state, weights.params)
    params = optax.apply_updates(weights.params, updates)
    table = weights.table
    if model.config.prefix_tokens:
        lr = schedule(table_config.lr, optimizer_config, total_steps)(state.step)
        decay = table_config.weight_decay
        table = puzzle_table.sign_sgd(table, carry.batch.ids, row_grads, lr, decay, mesh)
    averaged = {"params": params, "table": table}
    new = {name: averaged[name] for name in state.ema}
    metrics["updates"] = jnp.ones((), jnp.float32)
    metrics["gradient_norm"] = optax.tree.norm(grads).astype(jnp.float32)
    metrics["lr"] = schedule(optimizer_config.lr, optimizer_config, total_steps)(state.step)
    return state.replace(
        step=state.step + 1,
        weights=weights.replace(params=params, table=table),
        opt_state=opt_state,
        ema=ema_update(state.ema, new, ema_decay(optimizer_config, state.step)),
        carry=new_carry,
        sums=add_metrics(state.sums, metrics, fresh=state.step % log_every == 0),
    )


def add_metrics(
    sums: dict[str, jax.Array], metrics: dict[str, jax.Array], fresh: jax.Array
) -> dict[str, jax.Array]:
    """Adds an update's metrics to the sums, which restart after a log point; `lr` is replaced."""
    before = {name: jnp.where(fresh, 0, total) for name, total in sums.items()} | {"lr": 0}
    return {name: (before[name] + metrics[name]).astype(jnp.float32) for name in sums}


def summarise(
    sums: dict[str, jax.Array], batch_size: int, halt_weight: float = PUBLISHED.halt_weight
) -> dict[str, jax.Array]:
    """Computes means from metric sums; a mean over no rows is NaN.

    Args:
      sums: metric sums of `update`.
      batch_size: number of slots, B.
      halt_weight: see `LossConfig`.

    Returns:
      `loss`, `token_loss`, `halt_loss` and, if it is trained, `continue_loss` per example, without
      the weights of `LossConfig.step_decay`; `gradient_norm` per update; `lr` of the last update;
      and for the rows `all` and `halted` their `count` and the means of `losses.step_metrics`.
    """
    examples = sums["updates"] * batch_size
    means = {name: total / examples for name, total in sums.items() if name.endswith("_loss")}
    halting = means["halt_loss"] + means.get("continue_loss", 0)
    means["loss"] = means["token_loss"] + halt_weight * halting
    means["gradient_norm"] = sums["gradient_norm"] / sums["updates"]
    means["lr"] = 1 * sums["lr"]  # a copy, since the state's own buffer is donated next
    for name in sums:
        rows, _, key = name.partition("/")
        if key == "count":
            means[name] = 1 * sums[name]
        elif key:
            means[name] = sums[name] / sums[f"{rows}/count"]
    return means


def describe(values: dict[str, float]) -> str:
    """Formats the means of a log point in one line."""
    return (
        f"exact {percent(values['all/exact_accuracy'])} (halted rows "
        f"{percent(values['halted/exact_accuracy'])})  "
        f"cells {percent(values['all/cell_accuracy'])}"
    )


def make_train_step(
    update_one: Callable[..., TrainState],
    mesh: Mesh,
    state: Any,
    summarise: Callable[[dict[str, jax.Array]], dict[str, jax.Array]],
) -> TrainStep:
    """Compiles several updates into one program over the mesh that donates the state.

    Args:
      update_one: (state, batch) -> state, such as `update` with its settings bound.
      mesh: device mesh.
      state: a state, or its shapes.
      summarise: computes means from the metric sums.

    Returns:
      Function of a state, which is donated, and a batch with a leading axis of updates
      ([k, B, ...]), which returns the state k updates later and the means since the last log point.
    """

    def several(state: TrainState, batches: Batch) -> tuple[TrainState, dict[str, jax.Array]]:
        state, _ = jax.lax.scan(lambda s, b: (update_one(s, b), None), state, batches)
        return state, summarise(state.sums)

    shardings = state_shardings(mesh, state)
    return jax.jit(
        several,
        donate_argnums=0,
        in_shardings=(shardings, over_slots(mesh, axis=1)),
        out_shardings=(shardings, replicated(mesh)),
    )
