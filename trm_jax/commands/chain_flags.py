"""The flags of a lattice model's search, and the `ChainSearch` that they describe."""

import math

from absl import flags

from trm_jax.commands.search_flags import HALTING, SEARCHING, refuse
from trm_jax.infer.chain_search import ChainSearch, Limits
from trm_jax.models.lattice.lattice_model import LatticeModel
from trm_jax.tasks.task import task_of
from trm_jax.train.trained import Trained

LIMITS = ("passes", "chains", "rounds", "seconds")
OTHERS = (*HALTING, *SEARCHING, "halt", "curve", "noise_on", "symmetry")


def define(values: flags.FlagValues) -> None:
    """Adds the flags."""
    search = "Search with many chains; with --nosearch a single chain answers."
    flags.DEFINE_bool("search", True, search, flag_values=values)
    define_limits(values)
    seconds = "Time limit of the whole search, in seconds; default: none."
    flags.DEFINE_float("seconds", None, seconds, flag_values=values)


def define_limits(values: flags.FlagValues) -> None:
    """Adds the flags of the limits of one puzzle, which `trm serve` has, too."""
    standard = Limits()
    passes = "Maximum number of network passes per puzzle, over all its chains; rounds that have "
    passes += "begun are finished."
    flags.DEFINE_integer("passes", standard.passes, passes, flag_values=values)
    chains = "Maximum number of chains that run at the same time for one puzzle."
    flags.DEFINE_integer("chains", standard.chains, chains, flag_values=values)
    rounds = "Maximum number of rounds of one chain."
    flags.DEFINE_integer("rounds", standard.rounds, rounds, flag_values=values)


def refuse_all(values: flags.FlagValues, kind: str) -> None:
    """Refuses these flags for a model of another kind.

    Raises:
      UserError: one of the flags is given.
    """
    refuse(values, ("search", *LIMITS), f"is for lattice models; this model's kind is {kind!r}")


def make_search(
    values: flags.FlagValues, trained: Trained, model: LatticeModel, batch_size: int
) -> ChainSearch | None:
    """The search that the flags describe; None for a single chain.

    Args:
      values: parsed flags.
      trained: the loaded model.
      model: its network.
      batch_size: number of chains that run at the same time, of all puzzles together.

    Raises:
      UserError: a flag is invalid, or is for other models.
    """
    known = [name for name in OTHERS if name in values]
    refuse(values, known, "is not for lattice models, which search by chains; leave it out")
    if not values.search:
        why = "has no effect with --nosearch; leave one of the two out"
        refuse(values, (*LIMITS, "seed"), why)
        return None
    limits = Limits(
        passes=values.passes,
        chains=values.chains,
        rounds=values.rounds,
        seconds=math.inf if values.seconds is None else values.seconds,
        seed=values.seed,
    )
    deduction = task_of(trained.manifest).deduction(trained.manifest)
    return ChainSearch(model, deduction, trained.mesh, batch_size, limits)
