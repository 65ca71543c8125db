"""`trm data`."""

import json
from collections.abc import Sequence

from absl import flags

from trm_jax.commands import common
from trm_jax.data import format as dataset_format
from trm_jax.data.sudoku_build import build
from trm_jax.errors import EXIT_DONE, UserError


def define(values: flags.FlagValues, _: Sequence[str]) -> None:
    """Adds the flags."""
    flags.DEFINE_string("out", None, "Directory to write.", flag_values=values)
    flags.DEFINE_string("box", "3x3", "Rows x columns of a box.", flag_values=values)
    source = "'generate', 'hub', or a CSV or CSV.gz file."
    flags.DEFINE_string("source", "generate", source, flag_values=values)
    numbers = {
        "train": (1000, "Training puzzles; 0 for all of a file."),
        "heldout": (1000, "Puzzles set aside for selection."),
        "test": (0, "Puzzles set aside for the final score."),
        "extra_givens": (0, "Generated puzzles: at most so many givens more than minimal."),
        "seed": (0, "Of the choice of puzzles."),
    }
    for name, (default, explanation) in numbers.items():
        flags.DEFINE_integer(name, default, explanation, flag_values=values)


def run(values: flags.FlagValues, rest: Sequence[str]) -> int:
    """Builds a data set, or inspects one.

    trm data sudoku --out DIR [--source FILE.csv.gz] [--box 3x3] [--train 1000] [--seed 0]
    trm data DIR

    Prints what the data set holds, with its hashes. Bad rows are refused with file and line.
    """
    if len(rest) != 1:
        raise UserError("`trm data` takes one thing: the task 'sudoku', or a directory to inspect.")
    if rest[0] == "sudoku":
        out = common.need(values, "out")
        dataset = build(
            box=_box(values.box),
            source=values.source,
            train=values.train,
            heldout=values.heldout,
            test=values.test,
            seed=values.seed,
            extra_givens=values.extra_givens,
        )
        dataset_format.save(dataset, out)
    else:
        dataset = dataset_format.load(rest[0])
    print(json.dumps(dataset.manifest, indent=2))
    return EXIT_DONE


def _box(text: str) -> tuple[int, int]:
    rows, _, columns = text.partition("x")
    if not (rows.isdigit() and columns.isdigit()):
        raise UserError(f"--box is {text!r}; write rows x columns of a box, as in 3x3.")
    return int(rows), int(columns)
