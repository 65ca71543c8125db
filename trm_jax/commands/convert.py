"""`trm convert`."""

from collections.abc import Sequence
from pathlib import Path

from absl import flags

from trm_jax.commands import common
from trm_jax.core.errors import EXIT_DONE, UserError
from trm_jax.published import convert, parity, torch_files

EXIT_DISAGREES = 1
PUZZLES = 2
DIRECTIONS = {
    "from-torch": ("out", "config", "rows", "data", "step", "puzzles"),
    "to-torch": ("out", "workdir", "checkpoint", "raw", "prefix"),
}


def define(values: flags.FlagValues, arguments: Sequence[str]) -> None:
    """Adds the flags."""
    out = "Work directory (from-torch) or file (to-torch) to write."
    flags.DEFINE_string("out", None, out, flag_values=values)
    common.define_config(values, arguments)
    rows = "JSON file with a list: for each row of the new puzzle table, its row in FILE, or null."
    flags.DEFINE_string("rows", None, rows, flag_values=values)
    data = "Dataset that the weights were trained on; it names the rows of an ARC puzzle table."
    flags.DEFINE_string("data", None, data, flag_values=values)
    step = "Training step of the weights; default: from a file name like step_65104, else 0."
    flags.DEFINE_integer("step", None, step, flag_values=values)
    puzzles = "Number of puzzles in the parity report; 0 for no report."
    flags.DEFINE_integer("puzzles", PUZZLES, puzzles, lower_bound=0, flag_values=values)
    common.define_workdir(values)
    which = "Checkpoint to convert, by its training step; default: the best on held-out puzzles."
    flags.DEFINE_integer("checkpoint", None, which, flag_values=values)
    raw = "Write the raw weights, not the averaged ones (EMA)."
    flags.DEFINE_bool("raw", False, raw, flag_values=values)
    prefix = "Prefix of each parameter's name."
    prefixes = list(torch_files.PREFIXES)
    flags.DEFINE_enum("prefix", prefixes[0], prefixes, prefix, flag_values=values)


def run(values: flags.FlagValues, rest: Sequence[str]) -> int:
    """Converts weights from and to the published PyTorch models.

    Usage:
      trm convert from-torch FILE --out DIR --config sudoku:extreme
      trm convert to-torch --workdir DIR --out FILE.pt

    FILE is a .pt file (or has a name like step_65104), .npz or .safetensors. from-torch writes a
    work directory that `trm eval` and `trm solve` accept, and compares its predictions with a NumPy
    implementation of the published algorithm (the parity report). docs/how-to/convert.md has the
    details.

    Exit codes: 0 converted; 1 converted, but the parity report disagrees; 2 wrong usage or input.
    """
    direction = rest[0] if rest else ""
    if direction not in DIRECTIONS:
        raise UserError("`trm convert` needs a direction first: from-torch FILE, or to-torch.")
    _refuse_others(values, direction)
    if direction == "to-torch":
        common.refuse_rest(rest[1:])
        return _to_torch(values)
    if len(rest) != 2:
        raise UserError(f"`trm convert from-torch` takes one file; it was given {len(rest) - 1}.")
    return _from_torch(values, rest[1])


def _from_torch(values: flags.FlagValues, file: str) -> int:
    config = None if values.config is None else common.settings(values)
    plan = convert.plan(file, config, values.rows, values.step, values.data)
    out = common.need(values, "out")
    report = convert.from_torch(plan, out, values.puzzles)
    for note in plan.notes:
        print(note)
    asked = ", ".join(f"{name} {value}" for name, value in convert.taken(plan).items())
    print(f"taken from the config, since {plan.file.name} does not determine it: {asked}")
    print(
        f"wrote {out}: checkpoint {plan.step}; the file's weights serve as raw and as averaged "
        "weights (published files hold the averaged ones only)"
    )
    if report is None:
        return EXIT_DONE
    print(parity.describe(report))
    return EXIT_DONE if report["agrees"] else EXIT_DISAGREES


def _to_torch(values: flags.FlagValues) -> int:
    workdir, out = common.need(values, "workdir"), common.need(values, "out")
    widened = convert.to_torch(
        workdir,
        out,
        checkpoint=values.checkpoint,
        averaged=not values.raw,
        prefix=values.prefix,
    )
    print(f"wrote {out}: the {'raw' if values.raw else 'averaged'} weights")
    if widened:
        print(f"{Path(out).name} holds bfloat16 arrays as float32: .npz has no bfloat16")
    return EXIT_DONE


def _refuse_others(values: flags.FlagValues, direction: str) -> None:
    """Refuses flags that are for the other direction."""
    for other, names in DIRECTIONS.items():
        for name in names:
            if values[name].present and name not in DIRECTIONS[direction]:
                raise UserError(f"--{name} is for `trm convert {other}`; leave it out.")
