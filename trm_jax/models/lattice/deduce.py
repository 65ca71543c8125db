"""One round on candidate sets: eliminate, test for a solution or conflict, otherwise guess."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from trm_jax.models.lattice.network import Said
from trm_jax.models.lattice.settings import LatticeSettings


class Deduced(NamedTuple):
    """A state after an elimination.

    Attributes:
      candidates: bool [B, S, C], the remaining candidates.
      solved: bool [B], whether every cell has one candidate and there is no conflict.
      conflict: bool [B], whether a cell has no candidate or the conflict head reports a conflict.
    """

    candidates: jax.Array
    solved: jax.Array
    conflict: jax.Array


def eliminate(
    said: Said,
    candidates: jax.Array,
    given: jax.Array,
    settings: LatticeSettings,
    *,
    searching: bool = False,
) -> Deduced:
    """Eliminates candidates of low probability, except those of givens.

    Args:
      said: outputs of the heads after the last loop on `candidates`.
      candidates: bool [B, S, C].
      given: bool [B, S], whether the cell was filled in the question.
      settings: its thresholds are used.
      searching: whether to use the conflict threshold for search.
    """
    above = settings.search_conflict_above if searching else settings.conflict_above
    likely = jax.nn.sigmoid(said.candidates) >= settings.eliminate_below
    left = candidates & (likely | given[..., None])
    count = jnp.sum(left, axis=-1)
    conflict = jnp.any(count == 0, axis=-1) | (jax.nn.sigmoid(said.conflict) > above)
    return Deduced(left, jnp.all(count == 1, axis=-1) & ~conflict, conflict)


def guess(
    deduced: Deduced, said: Said, settings: LatticeSettings, keys: jax.Array | None
) -> jax.Array:
    """Fixes one undecided cell of each state that is neither solved nor in conflict.

    Args:
      deduced: result of `eliminate`.
      said: outputs of the heads that `eliminate` used.
      settings: its `temperature` is used.
      keys: random keys [B]: the cell is drawn uniformly from the undecided ones, its digit from
        softmax(candidate logits / temperature) over its candidates. None selects the cell and
        digit of the highest candidate logit.

    Returns:
      Candidates bool [B, S, C].
    """
    left = deduced.candidates
    lowest = jnp.finfo(said.candidates.dtype).min
    logits = jnp.where(left, said.candidates, lowest)
    undecided = jnp.sum(left, axis=-1) > 1
    if keys is None:
        cell = jnp.argmax(jnp.where(undecided, jnp.max(logits, -1), lowest), axis=-1)
        noise = jnp.zeros((left.shape[0], left.shape[-1]), logits.dtype)
    else:
        of_cells, of_digits = (jax.vmap(jax.random.split)(keys)[:, i] for i in (0, 1))
        draws = jax.vmap(lambda k: jax.random.uniform(k, left.shape[1:2]))(of_cells)
        cell = jnp.argmax(jnp.where(undecided, draws, -1.0), axis=-1)
        noise = jax.vmap(lambda k: jax.random.gumbel(k, left.shape[2:]))(of_digits)
        noise = noise.astype(logits.dtype)
    its_logits = jnp.take_along_axis(logits, cell[:, None, None], axis=1)[:, 0]
    drawn = jnp.where(its_logits > lowest, its_logits / settings.temperature + noise, lowest)
    digit = jax.nn.one_hot(jnp.argmax(drawn, -1), left.shape[-1], dtype=bool)
    here = jax.nn.one_hot(cell, left.shape[1], dtype=bool)
    goes_on = ~deduced.solved & ~deduced.conflict
    fixed = (here & goes_on[:, None])[..., None] & ~digit[:, None]
    return left & ~fixed
