"""`trm bench`."""

import json
from collections.abc import Sequence

from absl import flags

from trm_jax.bench import bench
from trm_jax.commands import common
from trm_jax.errors import EXIT_DONE


def define(values: flags.FlagValues, arguments: Sequence[str]) -> None:
    """Adds the flags."""
    common.define_config(values, arguments)
    flags.DEFINE_enum("what", "train", ["train", "rollout"], "What to time.", flag_values=values)
    flags.DEFINE_integer("repeats", 10, "Timed calls.", lower_bound=1, flag_values=values)
    flags.DEFINE_bool("json", False, "Print one JSON line only.", flag_values=values)


def run(values: flags.FlagValues, rest: Sequence[str]) -> int:
    """Times the compiled train step or the evaluation rollout.

    trm bench --config experiments/sudoku.py:extreme --config.batch_size=8 --what train --json
    """
    common.refuse_rest(rest)
    result = bench(common.experiment(values), values.what, values.repeats)
    if values.json:
        print(json.dumps(result))
    else:
        for key, value in result.items():
            if key != "model":
                print(f"{key:16} {value}")
    return EXIT_DONE
