"""The process in which one part is measured: reads a job as JSON, prints a report as JSON.

Each part has a process of its own, so that its peak memory is its own and nothing of it remains
while another part is timed.
"""

import json
import sys
import time
from collections.abc import Mapping
from typing import Any

from trm_jax.bench import measures
from trm_jax.bench.turns import Turn
from trm_jax.config.experiment import from_dict
from trm_jax.core.errors import EXIT_BAD_CONFIG, EXIT_DONE, UserError
from trm_jax.core.memory import enough_memory
from trm_jax.train import loop as train  # noqa: F401, imports what `trm train` imports


def measure(job: Mapping[str, Any], imported: float) -> dict[str, Any]:
    """Runs a job.

    Args:
      job: the measurement, see `processes.Job`.
      imported: time at which the imports were finished, by `time.time`.

    Returns:
      The report.
    """
    experiment, repeats = from_dict(job["experiment"]), job["repeats"]
    turn = Turn(job["lock"], job["compile_limit"])
    match job["part"]:
        case "train":
            return measures.train(experiment, repeats, job["trace"], turn)
        case "rollout":
            return measures.rollout(experiment, repeats, job["trace"], turn)
        case "input":
            return measures.inputs(experiment, repeats, job["scratch"])
        case "checkpoint":
            return measures.checkpoint(experiment, repeats, job["scratch"])
        case _:
            return measures.first_update(experiment, job["started"], imported)


def main() -> int:
    """Reads a job from stdin and prints its report, or `error` for a user's mistake."""
    imported = time.time()
    job = json.load(sys.stdin)
    try:
        with enough_memory(job["part"], "config.batch_size"):
            report = measure(job, imported)
    except UserError as error:
        print(json.dumps({"error": str(error)}))
        return EXIT_BAD_CONFIG
    print(json.dumps(report))
    return EXIT_DONE


if __name__ == "__main__":
    sys.exit(main())
