"""`trm plan`."""

import json
from collections.abc import Sequence

from absl import flags

from trm_jax.commands import common
from trm_jax.core.errors import EXIT_DONE
from trm_jax.plan import topology
from trm_jax.plan.page import page
from trm_jax.plan.remedies import plan

EXIT_DOES_NOT_FIT = 1


def define(values: flags.FlagValues, arguments: Sequence[str]) -> None:
    """Adds the flags."""
    common.define_config(values, arguments)
    where = (
        "TPU slice, as v5e:4x4 (chips) or v5e-16; v4-N and v5p-N count two cores to a chip. "
        "Or GPUs, as h100-1, h100-8, a100-8."
    )
    flags.DEFINE_string("topology", None, where, flag_values=values)
    remedies = "Where it does not fit, look for a setting that does; takes minutes."
    flags.DEFINE_bool("remedies", True, remedies, flag_values=values)
    flags.DEFINE_bool("json", False, "Print one JSON line only.", flag_values=values)


def run(values: flags.FlagValues, rest: Sequence[str]) -> int:
    """Compiles the train step and the evaluation for TPUs or GPUs that need not be there.

    trm plan --config experiments/arc.py:arc1 --topology v5e-16 [--noremedies] [--json]
    trm plan --config experiments/sudoku.py:extreme --topology h100-1

    Prints the memory of each device by kind and whether it fits, FLOPs by formula, the exchanges
    between devices, the traffic through each device's memory, what bounds the program, and a lower
    bound of the time; of what does not fit, the settings that make it fit. Exit code 0 if all fits
    as configured, 1 if not. TPUs need libtpu: pip install 'trm-jax[plan]'. GPUs need JAX's CUDA
    plugin: pip install 'jax[cuda12]'.
    """
    common.refuse_rest(rest)
    experiment = common.experiment(values)
    found = plan(experiment, topology.find(common.need(values, "topology")), values.remedies)
    print(json.dumps(found) if values.json else page(found))
    return EXIT_DONE if found["fits"] else EXIT_DOES_NOT_FIT
