"""`trm report`."""

from collections.abc import Sequence

from absl import flags

from trm_jax.commands import common
from trm_jax.errors import EXIT_DONE
from trm_jax.report import report


def define(values: flags.FlagValues, _: Sequence[str]) -> None:
    """Adds the flags."""
    common.define_workdir(values)
    flags.DEFINE_string("out", None, "PNG to write.", flag_values=values)


def run(values: flags.FlagValues, rest: Sequence[str]) -> int:
    """Draws the learning curve and the accuracy by depth.

    trm report --workdir DIR --out FILE.png
    """
    common.refuse_rest(rest)
    report(common.need(values, "workdir"), common.need(values, "out"))
    print(f"wrote {values.out}")
    return EXIT_DONE
