"""The flags of halting and search, and the `Search` that they describe."""

from collections.abc import Sequence

from absl import flags

from trm_jax.core.errors import UserError
from trm_jax.infer.halting import Halt
from trm_jax.infer.perturbation import NOTHING, STATES, Perturbation
from trm_jax.infer.search import Search
from trm_jax.infer.selection import SELECTIONS
from trm_jax.tasks.task import SYMMETRIES

HALTING = ("halt_threshold", "halt_min_steps", "halt_patience")
SEARCHING = ("rollouts", "noise", "restart", "copies", "checkpoints", "select")


def define(values: flags.FlagValues) -> None:
    """Adds the flags."""
    halt = "Stop each puzzle as soon as the halting head is confident in its answer."
    flags.DEFINE_bool("halt", False, halt, flag_values=values)
    sure = "Halting probability above which the model is confident, with --halt."
    flags.DEFINE_float("halt_threshold", 0.5, sure, flag_values=values)
    least = "Minimum number of supervision steps, with --halt."
    flags.DEFINE_integer("halt_min_steps", 1, least, flag_values=values)
    same = "Number of consecutive steps for which the answer has to stay the same, with --halt."
    flags.DEFINE_integer("halt_patience", 1, same, flag_values=values)
    tries = "Random rollouts of each puzzle; give --noise or --restart with it."
    flags.DEFINE_integer("rollouts", 1, tries, flag_values=values)
    noise = "Standard deviation of the Gaussian noise on the states before each supervision step."
    flags.DEFINE_float("noise", 0.0, noise, flag_values=values)
    which = "States that --noise is added to: y (the answer), z (the latent reasoning), or both."
    flags.DEFINE_enum("noise_on", STATES[0], list(STATES), which, flag_values=values)
    begin = "States that start at random vectors, not at the model's fixed initial vectors."
    flags.DEFINE_enum("restart", NOTHING, [NOTHING, *STATES], begin, flag_values=values)
    copies = "Symmetric copies of each puzzle, including the original."
    flags.DEFINE_integer("copies", 1, copies, flag_values=values)
    kind = "Symmetries of --copies: permuted digits, rotations and reflections, or both (all); "
    kind += "default: digits."
    flags.DEFINE_enum("symmetry", None, list(SYMMETRIES), kind, flag_values=values)
    several = "Checkpoints to ensemble, as in 800,1000,1200; instead of --checkpoint."
    flags.DEFINE_list("checkpoints", [], several, flag_values=values)
    select = "How one of a puzzle's rollouts is selected: the highest halting probability (halt), "
    select += "the most frequent answer (majority), the most frequent among rollouts that the "
    select += "halting head is confident in (confident_majority), or the first confident rollout, "
    select += "which stops the puzzle's others (first); default: halt."
    flags.DEFINE_enum("select", None, list(SELECTIONS), select, flag_values=values)
    flags.DEFINE_integer("seed", 0, "Seed of the search's random numbers.", flag_values=values)


def search(values: flags.FlagValues, steps: int) -> Search | None:
    """The search that the flags describe; None for a single rollout of all steps.

    Args:
      values: parsed flags.
      steps: maximum number of supervision steps of each rollout.

    Raises:
      UserError: a flag is invalid, or has no effect without another one.
    """
    if not values.halt:
        refuse(values, HALTING, "has no effect without --halt; add --halt, or leave it out")
    if not values.halt and not any(values[name].present for name in SEARCHING):
        alone = "has no effect without a search; add --rollouts, --copies or --checkpoints"
        refuse(values, ("noise_on", "symmetry", "seed"), alone)
        return None
    if not values.noise:
        refuse(values, ("noise_on",), "has no effect without --noise; add it, for example 0.3")
    if values.copies == 1:
        refuse(values, ("symmetry",), "has no effect without --copies; add it, for example 4")
    halt = Halt(
        max_steps=steps,
        min_steps=values.halt_min_steps,
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
    """The training steps of the checkpoints to load; [None] for the best one.

    Raises:
      UserError: --checkpoints has something that is not a number, or --checkpoint is given too.
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
    """Refuses flags that would have no effect.

    Args:
      values: parsed flags.
      names: names of the flags.
      why: rest of the error's sentence after the flag's name.

    Raises:
      UserError: one of the flags is given.
    """
    for name in names:
        if values[name].present:
            raise UserError(f"--{name} {why}.")
