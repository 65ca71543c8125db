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
    out = "Path without a suffix: OUT.md, OUT.csv and OUT.png are written."
    flags.DEFINE_string("out", None, out, flag_values=values)
    reach = "Held-out accuracy for which the updates and FLOPs needed to reach it are reported."
    flags.DEFINE_float("reach", None, reach, 0, 1, flag_values=values)


def run(values: flags.FlagValues, rest: Sequence[str]) -> int:
    """Compares runs: a table, its raw numbers, and a figure of their learning curves.

    Usage:
      trm report DIR... --out OUT [--reach 0.95]

    DIR is a work directory, or a directory of several such as a sweep's. Runs that differ only in
    their seed share one row of the table and one curve. Accuracy by depth comes from `trm eval`.
    """
    if not rest:
        raise UserError("`trm report` needs one or more work directories, or folders of them.")
    for path in report(rest, common.need_local(values, "out"), values.reach):
        print(f"wrote {path}")
    if not can_draw():
        print("no figure: it needs matplotlib (pip install 'trm-jax[plot]')", file=sys.stderr)
    return EXIT_DONE
