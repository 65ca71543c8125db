"""The flags of a lattice model's search, and what they ask for."""

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
    """Adds them."""
    standard = Limits()
    flags.DEFINE_bool("search", True, "Lattice models: search, or one chain.", flag_values=values)
    passes = "Lattice models: network passes for a puzzle, over all its chains, after which none "
    passes += "of its rounds begins."
    flags.DEFINE_integer("passes", standard.passes, passes, flag_values=values)
    chains = "Lattice models: chains of a puzzle that run at the same time at most."
    flags.DEFINE_integer("chains", standard.chains, chains, flag_values=values)
    rounds = "Lattice models: rounds of a chain at most."
    flags.DEFINE_integer("rounds", standard.rounds, rounds, flag_values=values)
    seconds = "Lattice models: seconds for the whole search at most; default: no limit."
    flags.DEFINE_float("seconds", None, seconds, flag_values=values)


def refuse_all(values: flags.FlagValues, kind: str) -> None:
    """Refuses them for a model that has no such search.

    Raises:
      UserError: one of them is given.
    """
    refuse(values, ("search", *LIMITS), f"is for lattice models, and this one's kind is {kind!r}")


def make_search(
    values: flags.FlagValues, trained: Trained, model: LatticeModel, batch_size: int
) -> ChainSearch | None:
    """The search that is asked for; None for a single chain without search.

    Raises:
      UserError: a flag makes no sense, or is for other models.
    """
    known = [name for name in OTHERS if name in values]
    refuse(values, known, "is not for lattice models, which search by chains; leave it out")
    if not values.search:
        why = "says how to search, and --nosearch that there is none"
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
