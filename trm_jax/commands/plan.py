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
        "Hardware: a TPU slice, as v5e:4x4 (chips) or v5e-16 (in v4-N and v5p-N, N counts cores, "
        "two per chip); or GPUs, as h100-1, h100-8 or a100-8."
    )
    flags.DEFINE_string("topology", None, where, flag_values=values)
    remedies = "If the program does not fit, search for settings that do; takes minutes."
    flags.DEFINE_bool("remedies", True, remedies, flag_values=values)
    flags.DEFINE_bool("json", False, "Print the plan as one JSON line.", flag_values=values)


def run(values: flags.FlagValues, rest: Sequence[str]) -> int:
    """Compiles the train step and the evaluation for TPUs or GPUs that you do not have.

    Usage:
      trm plan --config arc:arc1 --topology v5e-16 [--noremedies] [--json]
      trm plan --config sudoku:extreme --topology h100-1

    Prints the memory per device by kind and whether it fits, the FLOPs (by formula), the
    communication between devices, the memory traffic of each device, what bounds the step, and a
    lower bound of its time. For a program that does not fit, prints settings that make it fit.
    TPUs need libtpu: pip install 'trm-jax[plan]'. GPUs need JAX's CUDA plugin: pip install
    'jax[cuda12]'.

    Exit codes: 0 all programs fit as configured; 1 some do not; 2 wrong usage or input.
    """
    common.refuse_rest(rest)
    experiment = common.experiment(values)
    found = plan(experiment, topology.find(common.need(values, "topology")), values.remedies)
    print(json.dumps(found) if values.json else page(found))
    return EXIT_DONE if found["fits"] else EXIT_DOES_NOT_FIT
