"""`trm pack`."""

from collections.abc import Sequence

import jax
from absl import flags

from trm_jax.commands import common
from trm_jax.core.errors import EXIT_DONE, UserError
from trm_jax.train import pack


def define(values: flags.FlagValues, _: Sequence[str]) -> None:
    """Adds the flags."""
    out = "File to write, for example runs/six.trmpack; its parts are written beside it."
    flags.DEFINE_string("out", None, out, flag_values=values)
    which = "Checkpoint to pack, by its training step; default: the newest."
    flags.DEFINE_integer("checkpoint", None, which, flag_values=values)


def run(values: flags.FlagValues, rest: Sequence[str]) -> int:
    """Packs a run into files of at most 16 MB, to resume it on another machine.

    Usage:
      trm pack RUN --out FILE [--checkpoint STEP]

    RUN is the work directory of a run, which may still be training. FILE lists its parts
    (FILE.000-....npz and so on); move all of them together, and resume with
    `trm train --config CONFIG --config.init_from=FILE --workdir NEW`. Packing uses the CPU only,
    so a run on the accelerator is not disturbed. docs/how-to/moving.md describes the files.
    """
    if len(rest) != 1:
        raise UserError("`trm pack` needs one work directory: trm pack RUN --out FILE.")
    out = common.need(values, "out")
    jax.config.update("jax_platforms", "cpu")
    sizes = pack.write(rest[0], out, values.checkpoint)
    print(
        f"wrote {out}: update {pack.Pack.open(out).step:,}, {len(sizes)} files, "
        f"{sum(sizes) / 1e6:,.1f} MB, the largest {max(sizes) / 1e6:,.1f} MB"
    )
    return EXIT_DONE
