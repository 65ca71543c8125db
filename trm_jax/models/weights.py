"""The weights of a model, and their sharding."""

from typing import Any

import jax
from flax import struct
from jax.sharding import Mesh

from trm_jax.core.mesh import over_rows, replicated
from trm_jax.core.types import Latents
from trm_jax.models import AnyModel
from trm_jax.models.puzzle_table import init_table


class Weights(struct.PyTreeNode):
    """All arrays that inference needs.

    Attributes:
      params: dense parameters, a tree of float32 arrays.
      table: the puzzle table, float32 [R, E]; [1, 1] and unused if the model has none.
      initial: the fixed initial vectors, each float32 [D]; never trained or averaged.
    """

    params: Any
    table: jax.Array
    initial: Latents


def init_weights(key: jax.Array, model: AnyModel, table_rows: int) -> Weights:
    """Initialises weights with a puzzle table of `table_rows` rows."""
    params_key, initial_key = jax.random.split(key)
    return Weights(
        params=model.init(params_key),
        table=init_table(table_rows, model.config.table_width),
        initial=model.initial_latents(initial_key),
    )


def weight_shardings(mesh: Mesh, weights: Weights) -> Weights:
    """Shardings of weights or their shapes: split rows of a large puzzle table, else replicated."""
    everywhere = jax.tree.map(lambda _: replicated(mesh), weights)
    return everywhere.replace(table=over_rows(mesh, weights.table.shape[0]))
