"""The losses of a lattice model: on candidates, digits and conflicts."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from trm_jax.models.lattice.network import Said
from trm_jax.models.lattice.settings import LatticeSettings


class Truth(NamedTuple):
    """States with their targets.

    Attributes:
      candidates: bool [B, S, C], the states, s.
      digits: bool [B, S, C], the solutions, y, one-hot.
      given: bool [B, S], whether the cell was filled in the question.
    """

    candidates: jax.Array
    digits: jax.Array
    given: jax.Array

    @property
    def satisfiable(self) -> jax.Array:
        """Whether every cell still has its true digit as a candidate, bool [B]."""
        return jnp.all(jnp.any(self.candidates & self.digits, -1), -1)

    @property
    def counted(self) -> jax.Array:
        """Cells that count in the digit loss, bool [B, S]: empty cells of satisfiable states."""
        return ~self.given & self.satisfiable[:, None]


class Losses(NamedTuple):
    """The three losses of a loop, each a scalar summed over states.

    Attributes:
      candidates: sum over states of the mean over cells and candidates.
      digits: sum over states and their counted cells.
      conflict: sum over states.
    """

    candidates: jax.Array
    digits: jax.Array
    conflict: jax.Array


def loop_losses(said: Said, truth: Truth, settings: LatticeSettings) -> Losses:
    r"""The losses of one loop.

    .. math::
        t &= s \land y \text{ if no cell has lost its true digit, else } 0 \\
        \ell_{candidates} &= \mathrm{mean}_{i,v}\; w(t)\, \mathrm{BCE}(c_{iv}, t_{iv}) \\
        \ell_{digits} &= \mathrm{CE}(d_i, y_i) \text{ on empty cells of satisfiable states} \\
        \ell_{conflict} &= \mathrm{BCE}(q, [\text{some cell has lost its true digit}])

    w is `positive_weight` where t is 1, else `negative_weight`.
    Source: "Lattice Deduction Transformers", arXiv 2605.08605.

    Args:
      said: outputs of the heads after one loop.
      truth: the states with their targets.
      settings: its weights of candidates are used.
    """
    satisfiable = truth.satisfiable
    target = truth.candidates & truth.digits & satisfiable[:, None, None]
    logits = said.candidates
    weight = jnp.where(target, settings.positive_weight, settings.negative_weight)
    # BCE(c, t) = log(1 + e^c) - t c
    each = jnp.logaddexp(0, logits) - jnp.where(target, logits, 0)
    candidates = jnp.sum(weight.astype(logits.dtype) * each) / (logits.shape[1] * logits.shape[2])
    log_digits = jax.nn.log_softmax(said.digits, axis=-1)
    true_digits = jnp.sum(jnp.where(truth.digits, log_digits, 0), axis=-1)
    digits = -jnp.sum(jnp.where(truth.counted, true_digits, 0))
    conflict = jnp.zeros((), logits.dtype)
    if settings.conflict_token:
        q = said.conflict
        conflict = jnp.sum(jnp.logaddexp(0, q) - jnp.where(satisfiable, 0, q))
    return Losses(candidates, digits, conflict)
