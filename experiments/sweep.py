r"""Builds sweeps: lists of (name, overrides), which `trm sweep` runs.

    python experiments/sweep.py FILE.py[:NAME] [--seeds 3]

FILE.py defines `get_sweep(name)`, as a config file defines `get_config(variant)`. The command
prints a JSON list of [name, overrides]; overrides are settings by dotted name, without "config.":

    axis("model.T", [1, 2])                                     [("T=1", {"model.T": 1}), ...]
    product(axis("model.T", [1, 2]), axis("model.n", [2, 6]))   four runs: "T=1-n=2", ...
    zipped(axis("model.T", [1, 2]), axis("model.n", [2, 6]))    two runs: (1, 2) and (2, 6)
    chain(a, b)                                                 the runs of both
    seeds(a, 3)                                                 each run with three seeds

With these models, two seeds of one setting can differ more than two settings, so the default is
three seeds per variant: the run NAME becomes NAME/seed0 to NAME/seed2.
"""

import argparse
import importlib.util
import itertools
import json
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

Overrides = dict[str, Any]
Sweep = list[tuple[str, Overrides]]

SEEDS = 3
NAME = re.compile(r"[A-Za-z0-9._=-]+(/[A-Za-z0-9._=-]+)*")


def axis(key: str, values: Iterable[Any]) -> Sweep:
    """One run per value of a setting, named after the last part of its key: "T=2"."""
    return checked([(f"{key.rpartition('.')[2]}={value}", {key: value}) for value in values])


def product(*sweeps: Sweep) -> Sweep:
    """All combinations of one run of each sweep; the last sweep varies fastest."""
    return checked([_merged(runs) for runs in itertools.product(*sweeps)])


def zipped(*sweeps: Sweep) -> Sweep:
    """Combines the first runs of all sweeps, the second runs, and so on.

    Raises:
      ValueError: the sweeps have different lengths.
    """
    if len({len(sweep) for sweep in sweeps}) > 1:
        raise ValueError(f"zipped sweeps have {[len(sweep) for sweep in sweeps]} runs")
    return checked([_merged(runs) for runs in zip(*sweeps, strict=True)])


def chain(*sweeps: Sweep) -> Sweep:
    """The runs of all sweeps, one sweep after the other."""
    return checked([run for sweep in sweeps for run in sweep])


def seeds(sweep: Sweep, count: int) -> Sweep:
    """Each run `count` times, with seed 0, 1, ...; the runs of NAME are NAME/seed0 and so on.

    Raises:
      ValueError: `count` is not positive, or a run already has a seed.
    """
    if count < 1:
        raise ValueError(f"a sweep needs 1 or more seeds, not {count}")
    taken = [name for name, overrides in sweep if "seed" in overrides]
    if taken:
        raise ValueError(f"run {taken[0]!r} already has a seed")
    return checked([(f"{n}/seed{s}", o | {"seed": s}) for n, o in sweep for s in range(count)])


def checked(sweep: Sweep) -> Sweep:
    """Checks the names of a sweep's runs, and returns the sweep.

    Raises:
      ValueError: two runs have the same name, or a name cannot be a directory's name.
    """
    seen: set[str] = set()
    for name, _ in sweep:
        if not NAME.fullmatch(name) or {".", ".."} & set(name.split("/")):
            raise ValueError(
                f"run name {name!r} cannot be a directory's name; use letters, digits, '.', '_', "
                "'-', '=' and single '/' between them"
            )
        if name in seen:
            raise ValueError(f"two runs are named {name!r}")
        seen.add(name)
    return sweep


def _merged(runs: Iterable[tuple[str, Overrides]]) -> tuple[str, Overrides]:
    """Merges several runs into one; their names are joined by '-'."""
    names: list[str] = []
    merged: Overrides = {}
    for name, overrides in runs:
        names.append(name)
        for key, value in overrides.items():
            if merged.setdefault(key, value) != value:
                raise ValueError(f"{key} is set to {merged[key]!r} and, by {name!r}, to {value!r}")
    return "-".join(names), merged


def load(spec: str) -> Sweep:
    """Loads the sweep of FILE.py[:NAME]; the file may import modules beside it.

    Raises:
      ValueError: the file is not a Python file with `get_sweep`, or the sweep is invalid.
    """
    path, _, name = spec.partition(":")
    module_spec = importlib.util.spec_from_file_location("sweep_file", path)
    if module_spec is None or module_spec.loader is None or not Path(path).is_file():
        raise ValueError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(module_spec)
    sys.path.insert(0, str(Path(path).resolve().parent))
    try:
        module_spec.loader.exec_module(module)
    finally:
        sys.path.pop(0)
    if not hasattr(module, "get_sweep"):
        raise ValueError(f"{path} does not define get_sweep(name)")
    return checked(module.get_sweep(name) if name else module.get_sweep())


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints a sweep as JSON."""
    parser = argparse.ArgumentParser(description="Prints a sweep as a JSON list.")
    parser.add_argument("spec", metavar="FILE.py[:NAME]")
    seeds_help = f"number of seeds per variant; default: {SEEDS}"
    parser.add_argument("--seeds", type=int, default=SEEDS, help=seeds_help)
    values = parser.parse_args(arguments)
    try:
        runs = seeds(load(values.spec), values.seeds)
    except ValueError as error:
        print(f"sweep: {error}", file=sys.stderr)
        return 2
    print("[\n" + ",\n".join(f"  {json.dumps(run)}" for run in runs) + "\n]")
    return 0


if __name__ == "__main__":
    sys.exit(main())
