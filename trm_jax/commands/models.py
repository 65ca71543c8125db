"""`trm models`."""

import json
from collections.abc import Sequence
from pathlib import Path

import jax
from absl import flags

from trm_jax.commands import common
from trm_jax.core.errors import EXIT_DONE, UserError
from trm_jax.core.wording import counted
from trm_jax.released import listing, writing
from trm_jax.released.cards import Card, cards, find
from trm_jax.released.stored import DTYPES, read_arrays

_OF_ADD = (
    "workdir",
    "checkpoint",
    "name",
    "command",
    "hardware",
    "measured",
    "rank",
    "weights",
    "overwrite",
)


def define(values: flags.FlagValues, _: Sequence[str]) -> None:
    """Adds the flags."""
    folder = "Directory of the models; default: the one in the package."
    flags.DEFINE_string("folder", None, folder, flag_values=values)
    check = "Read the weights, and check their SHA-256, their shapes and that all are finite."
    flags.DEFINE_bool("check", False, check, flag_values=values)
    flags.DEFINE_bool("add", False, "Add the model of --workdir.", flag_values=values)
    common.define_workdir(values)
    which = "Checkpoint to add, by its training step; default: the best on held-out puzzles."
    flags.DEFINE_integer("checkpoint", None, which, flag_values=values)
    flags.DEFINE_string("name", None, "Name of the new model.", flag_values=values)
    command = "Command that trained the model; may be given several times."
    flags.DEFINE_multi_string("command", [], command, flag_values=values)
    hardware = "Hardware on which the run's evaluations were measured."
    flags.DEFINE_string("hardware", None, hardware, flag_values=values)
    measured = "JSON file with a list of measurements to put before those in the run's eval/."
    flags.DEFINE_string("measured", None, measured, flag_values=values)
    rank = "Priority: of several models for the same puzzles, `trm solve` uses the lowest rank."
    flags.DEFINE_integer("rank", 0, rank, flag_values=values)
    stored = "Dtype that the weights are stored in."
    flags.DEFINE_enum("weights", DTYPES[0], list(DTYPES), stored, flag_values=values)
    again = "Replace an existing model of the same name."
    flags.DEFINE_bool("overwrite", False, again, flag_values=values)


def run(values: flags.FlagValues, rest: Sequence[str]) -> int:
    """Lists the released models, prints their cards, checks them, or adds one.

    Usage:
      trm models [NAME...] [--check]
      trm models --add --workdir RUN --name NAME --command "trm train ..." --hardware "2 CPU cores"

    Without names, lists all models; with names, prints their cards as JSON. --add is for
    maintainers: it writes the weights and the card of a model from a checkpoint and the results in
    the run's eval/. docs/how-to/models.md has the details.
    """
    folder = Path(values.folder).expanduser() if values.folder is not None else None
    if values.add:
        return _add(values, rest, folder)
    for name in _OF_ADD:
        if values[name].present:
            raise UserError(f"--{name} is only for --add; give both, or leave it out.")
    if folder is not None and not folder.is_dir():
        raise UserError(f"--folder {folder} is not a directory; give the one with the models.")
    chosen = [find(name, folder) for name in rest] if rest else cards(folder)
    if values.check:
        print("\n".join(map(_checked, chosen)) or listing.NONE)
    elif rest:
        for card in chosen:
            print(json.dumps(dict(card.record), indent=2, ensure_ascii=False))
    else:
        print(listing.plain(chosen))
    return EXIT_DONE


def _add(values: flags.FlagValues, rest: Sequence[str], folder: Path | None) -> int:
    common.refuse_rest(rest)
    if values.check:
        raise UserError(
            "--check and --add are both given; --add checks what it writes, leave --check out."
        )
    workdir, name = common.need(values, "workdir"), common.need(values, "name")
    if not values.command:
        raise UserError("--command is missing; give the command that trained the model.")
    jax.config.update("jax_platforms", "cpu")  # leaves the accelerator to a run in progress
    release = writing.Release(
        name=name,
        commands=tuple(values.command),
        hardware=common.need(values, "hardware"),
        rank=values.rank,
        dtype=values.weights,
        more=() if values.measured is None else writing.read_measurements(values.measured),
    )
    target = writing.clones_folder() if folder is None else folder
    step, overwrite = values.checkpoint, values.overwrite
    card = writing.add(workdir, release, target, step=step, overwrite=overwrite)
    print(
        f"wrote {card.path} and {card.weights.name}: checkpoint {card.record['step']}, "
        f"{card.record['bytes'] / 1e6:,.2f} MB in {card.record['dtype']}, "
        f"{counted(len(card.record['measured']), 'measurement')}"
    )
    return EXIT_DONE


def _checked(card: Card) -> str:
    """Checks the weights of a model, and describes them in one line."""
    arrays = read_arrays(card)
    return (
        f"{card.name}: {len(arrays)} arrays, {sum(a.size for a in arrays.values()):,} numbers, "
        "SHA-256 as in the card, all finite"
    )
