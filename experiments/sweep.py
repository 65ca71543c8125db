r"""An algebra of sweeps: lists of (name, overrides), built up, printed, and run by `trm sweep`.

    python experiments/sweep.py FILE.py[:NAME] [--seeds 3]

FILE.py defines `get_sweep(name)`, as a config file defines `get_config(variant)`. What is printed
is a JSON list of [name, overrides], overrides being settings by their dotted names without the
leading "config.":

    axis("model.T", [1, 2])                                     [("T=1", {"model.T": 1}), ...]
    product(axis("model.T", [1, 2]), axis("model.n", [2, 6]))   four runs: "T=1-n=2", ...
    zipped(axis("model.T", [1, 2]), axis("model.n", [2, 6]))    two runs: (1, 2) and (2, 6)
    chain(a, b)                                                 the runs of both
    seeds(a, 3)                                                 each run with three seeds

One seed shows little: with these models two seeds of one setting can lie further apart than two
settings. So three seeds are the default here, and the run NAME becomes NAME/seed0 to NAME/seed2.
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
    """One run for each value of a setting, named after the last part of the key: "T=2"."""
    return checked([(f"{key.rpartition('.')[2]}={value}", {key: value}) for value in values])


def product(*sweeps: Sweep) -> Sweep:
    """Every combination of one run of each sweep; the last sweep changes fastest."""
    return checked([_merged(runs) for runs in itertools.product(*sweeps)])


def zipped(*sweeps: Sweep) -> Sweep:
    """The first runs together, the second runs together, and so on.

    Raises:
      ValueError: the sweeps are not equally long.
    """
    if len({len(sweep) for sweep in sweeps}) > 1:
        raise ValueError(f"zipped sweeps have {[len(sweep) for sweep in sweeps]} runs")
    return checked([_merged(runs) for runs in zip(*sweeps, strict=True)])


def chain(*sweeps: Sweep) -> Sweep:
    """One sweep after the other."""
    return checked([run for sweep in sweeps for run in sweep])


def seeds(sweep: Sweep, count: int) -> Sweep:
    """Each run `count` times, with seed 0, 1, ...; the runs of NAME are NAME/seed0 and so on.

    Raises:
      ValueError: `count` is not positive, or a run has a seed already.
    """
    if count < 1:
        raise ValueError(f"a sweep needs 1 or more seeds, not {count}")
    taken = [name for name, overrides in sweep if "seed" in overrides]
    if taken:
        raise ValueError(f"run {taken[0]!r} has a seed already")
    return checked([(f"{n}/seed{s}", o | {"seed": s}) for n, o in sweep for s in range(count)])


def checked(sweep: Sweep) -> Sweep:
    """The same sweep.

    Raises:
      ValueError: a name is there twice, or cannot name a directory.
    """
    seen: set[str] = set()
    for name, _ in sweep:
        if not NAME.fullmatch(name) or {".", ".."} & set(name.split("/")):
            raise ValueError(
                f"run name {name!r} is no safe directory name; it may have letters, digits, "
                "'.', '_', '-', '=' and single '/' between them"
            )
        if name in seen:
            raise ValueError(f"two runs are named {name!r}")
        seen.add(name)
    return sweep


def _merged(runs: Iterable[tuple[str, Overrides]]) -> tuple[str, Overrides]:
    """One run out of several, their names joined by '-'."""
    names: list[str] = []
    merged: Overrides = {}
    for name, overrides in runs:
        names.append(name)
        for key, value in overrides.items():
            if merged.setdefault(key, value) != value:
                raise ValueError(f"{key} is set to {merged[key]!r} and, by {name!r}, to {value!r}")
    return "-".join(names), merged


def load(spec: str) -> Sweep:
    """The sweep of FILE.py[:NAME]; the file may import what lies beside it."""
    path, _, name = spec.partition(":")
    module_spec = importlib.util.spec_from_file_location("sweep_file", path)
    if module_spec is None or module_spec.loader is None or not Path(path).is_file():
        raise ValueError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(module_spec)
    sys.path.insert(0, str(Path(path).resolve().parent))
    try:
        module_spec.loader.exec_module(module)
    finally:
        sys.path.pop(0)
    if not hasattr(module, "get_sweep"):
        raise ValueError(f"{path} defines no get_sweep(name)")
    return checked(module.get_sweep(name) if name else module.get_sweep())


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints a sweep as JSON."""
    parser = argparse.ArgumentParser(description="Prints a sweep as a JSON list.")
    parser.add_argument("spec", metavar="FILE.py[:NAME]")
    parser.add_argument("--seeds", type=int, default=SEEDS, help=f"of each run; default {SEEDS}")
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
