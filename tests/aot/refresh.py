"""Compiles the cases anew and stores their facts: python -m tests.aot.refresh [PART-OF-A-NAME ...].

Some minutes for each case. What changed is in the diff of facts.json, which belongs into the commit
that changed it, with the reason.
"""

import json
import sys

from tests.aot.cases import CASES, FACTS, experiment, stored
from trm_jax.plan import topology
from trm_jax.plan.remedies import plan


def main(parts):
    for case in CASES:
        if parts and not any(part in case for part in parts):
            continue
        config, name = case.split()
        facts = plan(experiment(config), topology.find(name))
        known = stored() | {case: without_times(facts)}
        lines = {name: known[name] for name in CASES if name in known}
        FACTS.write_text(json.dumps(lines, indent=1) + "\n")
        fits = {which: f["fits"] for which, f in facts["programs"].items()}
        print(case, fits, {w: r["changes"] for w, r in facts["remedies"].items()}, flush=True)


def without_times(facts):
    """How long a compilation took is no fact of the program."""
    if isinstance(facts, dict):
        return {k: without_times(v) for k, v in facts.items() if k != "compile_seconds"}
    return [without_times(fact) for fact in facts] if isinstance(facts, list) else facts


if __name__ == "__main__":
    main(sys.argv[1:])
