"""`trm report`."""

import sys
from collections.abc import Sequence

from absl import flags

from trm_jax.commands import common
from trm_jax.core.errors import EXIT_DONE, UserError
from trm_jax.show.figures import can_draw
from trm_jax.sweep.report import report


def define(values: flags.FlagValues, _: Sequence[str]) -> None:
    """Adds the flags."""
    out = "What to write: OUT.md, OUT.csv and OUT.png; a suffix is left off."
    flags.DEFINE_string("out", None, out, flag_values=values)
    reach = "Held-out accuracy, from 0 to 1, to tell the updates and FLOPs that it took."
    flags.DEFINE_float("reach", None, reach, 0, 1, flag_values=values)


def run(values: flags.FlagValues, rest: Sequence[str]) -> int:
    """Puts runs side by side: a table, its raw numbers, and a picture of how they learned.

    trm report DIR... --out OUT [--reach 0.95]

    DIR is a work directory, or a folder of them such as a sweep's. Runs that differ only in the
    seed become one row and one line. Accuracy by depth comes from `trm eval`.
    """
    if not rest:
        raise UserError("`trm report` takes one or more work directories, or folders of them.")
    for path in report(rest, common.need(values, "out"), values.reach):
        print(f"wrote {path}")
    if not can_draw():
        print("no picture, which needs matplotlib: pip install 'trm-jax[plot]'", file=sys.stderr)
    return EXIT_DONE
