"""The flags of halting and search, and what they ask for."""

from collections.abc import Sequence

from absl import flags

from trm_jax.core.errors import UserError
from trm_jax.infer.halting import Halt
from trm_jax.infer.perturbation import NOTHING, STATES, Perturbation
from trm_jax.infer.search import Search
from trm_jax.infer.selection import SELECTIONS
from trm_jax.tasks.task import SYMMETRIES

HALTING = ("halt_threshold", "halt_least", "halt_patience")
SEARCHING = ("rollouts", "noise", "restart", "copies", "checkpoints", "select")


def define(values: flags.FlagValues) -> None:
    """Adds them."""
    flags.DEFINE_bool("halt", False, "Stop each puzzle once it is believed.", flag_values=values)
    sure = "--halt: halting probability above which an answer is believed."
    flags.DEFINE_float("halt_threshold", 0.5, sure, flag_values=values)
    flags.DEFINE_integer("halt_least", 1, "--halt: steps at least.", flag_values=values)
    same = "--halt: the answer has to be the same after so many steps in a row."
    flags.DEFINE_integer("halt_patience", 1, same, flag_values=values)
    tries = "Search: tries of each puzzle, with --noise or --restart."
    flags.DEFINE_integer("rollouts", 1, tries, flag_values=values)
    noise = "Search: deviation of the noise on the states before each supervision step."
    flags.DEFINE_float("noise", 0.0, noise, flag_values=values)
    which = "Search: the states that get noise."
    flags.DEFINE_enum("noise_on", STATES[0], list(STATES), which, flag_values=values)
    begin = "Search: the states that begin at random vectors."
    flags.DEFINE_enum("restart", NOTHING, [NOTHING, *STATES], begin, flag_values=values)
    copies = "Search: symmetric copies of each puzzle, the original included."
    flags.DEFINE_integer("copies", 1, copies, flag_values=values)
    kind = "Search: what the copies are: digits relabelled, turned and mirrored, or all of it."
    flags.DEFINE_enum("symmetry", None, list(SYMMETRIES), kind, flag_values=values)
    several = "Search: several checkpoints, as in 800,1000,1200; in place of --checkpoint."
    flags.DEFINE_list("checkpoints", [], several, flag_values=values)
    select = "Search: which try is answered: the surest by the halting head, the most frequent "
    select += "answer, that among believed ones, or the first one believed, which ends the others."
    flags.DEFINE_enum("select", None, list(SELECTIONS), select, flag_values=values)
    flags.DEFINE_integer("seed", 0, "Search: of all that is random.", flag_values=values)


def search(values: flags.FlagValues, steps: int) -> Search | None:
    """What is asked for; None if every puzzle is to be tried once, for all steps.

    Args:
      values: of the flags.
      steps: at most, of each trajectory.

    Raises:
      UserError: a flag makes no sense, alone or without another.
    """
    if not values.halt:
        refuse(values, HALTING, "says when to halt; add --halt, or leave it out")
    if not values.halt and not any(values[name].present for name in SEARCHING):
        refuse(values, ("noise_on", "symmetry", "seed"), "says how to search, and nothing is asked")
        return None
    if not values.noise:
        refuse(values, ("noise_on",), "says where the noise goes; add --noise, for example 0.3")
    if values.copies == 1:
        refuse(values, ("symmetry",), "says what the copies are; add --copies, for example 4")
    halt = Halt(
        most=steps,
        least=values.halt_least,
        threshold=values.halt_threshold if values.halt else 1.0,
        patience=values.halt_patience,
    )
    return Search(
        halt=halt,
        rollouts=values.rollouts,
        copies=values.copies,
        symmetry=values.symmetry or SYMMETRIES[0],
        perturbation=Perturbation(values.noise, values.noise_on, values.restart, values.seed),
        select=values.select or next(iter(SELECTIONS)),
    )


def checkpoints(values: flags.FlagValues) -> list[int | None]:
    """The checkpoints that are asked for; [None] is for the best.

    Raises:
      UserError: they are no numbers, or --checkpoint is given too.
    """
    if not values.checkpoints:
        return [values.checkpoint]
    if values.checkpoint is not None:
        raise UserError("--checkpoint and --checkpoints are both given; give one of them.")
    if not all(text.strip().isdecimal() for text in values.checkpoints):
        raise UserError(
            f"--checkpoints is {','.join(values.checkpoints)}; give numbers, as in 800,1000,1200."
        )
    return [int(text) for text in values.checkpoints]


def refuse(values: flags.FlagValues, names: Sequence[str], why: str) -> None:
    """Refuses flags that nobody would look at.

    Raises:
      UserError: one of them is given.
    """
    for name in names:
        if values[name].present:
            raise UserError(f"--{name} {why}.")
