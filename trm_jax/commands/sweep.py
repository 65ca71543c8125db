"""`trm sweep`."""

import shlex
from collections.abc import Sequence

from absl import flags
from ml_collections import config_flags

from trm_jax.commands import common
from trm_jax.config.arguments import FILL
from trm_jax.core.errors import EXIT_DONE, EXIT_RESTART_ME, UserError
from trm_jax.core.signals import StopSignals
from trm_jax.sweep.jobs import Failure, run_all
from trm_jax.sweep.runs import Base, SweepRun, plan, read_entries, record

EXIT_FAILED = 1


def define(values: flags.FlagValues, arguments: Sequence[str]) -> None:
    """Adds the flags."""
    common.define_config(values, arguments)
    sweep = "List of runs: FILE.py[:NAME], a JSON file as experiments/sweep.py prints it, or '-' "
    sweep += "for JSON on standard input."
    flags.DEFINE_string("sweep", None, sweep, flag_values=values)
    out = "Directory in which the work directory and the log of each run are made."
    flags.DEFINE_string("out", None, out, flag_values=values)
    seeds = "Number of seeds per variant, for a --sweep FILE.py; default: 3."
    flags.DEFINE_integer("seeds", None, seeds, flag_values=values)
    jobs = "Number of runs at the same time; use 1 on an accelerator."
    flags.DEFINE_integer("jobs", 1, jobs, flag_values=values)
    dry = "Print the commands without running them."
    flags.DEFINE_bool("dry_run", False, dry, flag_values=values)


def run(values: flags.FlagValues, rest: Sequence[str]) -> int:
    r"""Trains several variants of an experiment, and evaluates each at the end.

    Usage:
      trm sweep --config sudoku:demo --sweep ablations:table1 \
          --out runs/ablations [--seeds 3] [--jobs 2] [--config.steps=200] [--dry_run]

    Each run is a separate process with its work directory and log in OUT/NAME. The same command
    resumes the runs that are not finished, and skips those that are.

    Exit codes: 0 all runs finished; 1 some runs failed; 2 wrong usage or input; 42 interrupted
    (SIGTERM, Ctrl-C), the same command resumes.
    """
    common.refuse_rest(rest)
    source, out = common.need(values, "sweep"), common.need_local(values, "out")
    if values.jobs < 1:
        raise UserError(f"--jobs is {values.jobs}; give 1 or more runs at a time.")
    common.experiment(values)  # validates the base config
    base = Base(
        config_flags.get_config_filename(values["config"]).removeprefix(f"{FILL}:"),
        config_flags.get_override_values(values["config"]),
        common.settings(values),
    )
    entries = read_entries(source, values.seeds)
    runs = plan(base, entries, out)
    todo = [r for r in runs if r.needs()]
    if values.dry_run:
        for r in runs:
            command = r.needs()
            print(shlex.join(command) if command else f"# done: {shlex.join(r.train)}")
        print(f"# {len(runs)} runs, {len(runs) - len(todo)} done already")
        return EXIT_DONE
    record(out, base, entries)
    print(f"{len(runs)} runs, {len(runs) - len(todo)} done already", flush=True)
    with StopSignals() as stop:
        failures = run_all(todo, values.jobs, stop)
    return _summary(runs, failures, bool(stop.count))


def _summary(runs: Sequence[SweepRun], failures: Sequence[Failure], stopped: bool) -> int:
    """Prints how the runs ended, and returns the exit code."""
    done = sum(r.needs() is None for r in runs)
    print(f"{done} of {len(runs)} runs done, {len(failures)} failed")
    if failures:
        width = max(len(failure.name) for failure in failures)
        for failure in failures:
            print(f"  {failure.name:{width}}  {failure.reason}  {failure.last_line}")
    if stopped:
        print("stopped; the same command resumes from here")
        return EXIT_RESTART_ME
    return EXIT_FAILED if failures else EXIT_DONE
