"""The train state and its sharding."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct
from jax.sharding import Mesh

from trm_jax.core.mesh import over_slots, replicated
from trm_jax.core.types import Latents
from trm_jax.models import AnyModel
from trm_jax.models.weights import Weights, init_weights, weight_shardings


class TrainState(struct.PyTreeNode):
    """The complete state of an experiment after `step` updates; saved and restored as a whole.

    Attributes:
      step: int32 (), number of updates done; also the position in the data stream.
      weights: the weights being trained.
      opt_state: state of the dense optimizer.
      ema: moving averages {"params": tree, "table": [R, E]}; "table" only in the scope "all".
      carry: state of the batch slots, a `Carry` or a `train.pool.Pool`.
      key: random key of the run, constant: each step folds its number into it.
      sums: float32 scalars by name, sums of metrics since the last log point.
    """

    step: jax.Array
    weights: Weights
    opt_state: Any
    ema: dict[str, Any]
    carry: Any
    key: jax.Array
    sums: dict[str, jax.Array]

    def eval_weights(self) -> Weights:
        """The averaged weights; weights that are not averaged are unchanged."""
        return self.weights.replace(**self.ema)


def init_ema(weights: Weights, scope: str) -> dict[str, Any]:
    """Initialises the moving averages as copies of the weights.

    Args:
      weights: fresh weights.
      scope: see `OptimizerConfig.ema_scope`.
    """
    names = ("params", "table") if scope == "all" else ("params",)
    # copies: two fields must not share a buffer, or the state could not be donated
    return {name: jax.tree.map(jnp.copy, getattr(weights, name)) for name in names}


def init_state(
    key: jax.Array,
    *,
    model: AnyModel,
    optimizer: optax.GradientTransformation,
    table_rows: int,
    ema_scope: str,
    metric_names: tuple[str, ...],
    empty_carry: Callable[[Latents], Any],
) -> TrainState:
    """Initialises the state of an experiment.

    Args:
      key: random key; the same key gives the same state on any mesh.
      model: initialises the parameters and the initial vectors.
      optimizer: optimizer of the dense parameters.
      table_rows: number of rows of the puzzle table, R.
      ema_scope: see `OptimizerConfig`.
      metric_names: keys of `sums`.
      empty_carry: makes the empty carry from the fixed initial vectors.
    """
    weights_key, run_key = jax.random.split(key)
    weights = init_weights(weights_key, model, table_rows)
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        weights=weights,
        opt_state=optimizer.init(weights.params),
        ema=init_ema(weights, ema_scope),
        carry=empty_carry(weights.initial),
        key=run_key,
        sums={name: jnp.zeros((), jnp.float32) for name in metric_names},
    )


def state_shardings(mesh: Mesh, state: TrainState) -> TrainState:
    """Shardings of a state or its shapes.

    Slots are split, and so are the rows of a large puzzle table and of its average; everything
    else is replicated.
    """
    everywhere = jax.tree.map(lambda _: replicated(mesh), state)
    weights = weight_shardings(mesh, state.weights)
    return everywhere.replace(
        carry=jax.tree.map(lambda _: over_slots(mesh), state.carry),
        weights=weights,
        ema={name: getattr(weights, name) for name in state.ema},
    )
