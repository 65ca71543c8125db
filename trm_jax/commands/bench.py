"""`trm bench`."""

import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from absl import flags

from trm_jax.bench import tables as page
from trm_jax.bench.peer import Peer
from trm_jax.bench.record import PARTS, PROGRAMS, Bench
from trm_jax.commands import common
from trm_jax.core.errors import EXIT_DONE, UserError


def define(values: flags.FlagValues, arguments: Sequence[str]) -> None:
    """Adds the flags."""
    common.define_config(values, arguments)
    what = "What to time; 'all' is one record of everything."
    flags.DEFINE_enum("what", "train", [*PARTS, "all"], what, flag_values=values)
    flags.DEFINE_integer("repeats", 10, "Timed calls.", lower_bound=1, flag_values=values)
    where = "Temporary files (checkpoints, data sets) go into it; default: the system's place."
    flags.DEFINE_string("workdir", None, where, flag_values=values)
    trace = "Write a trace of a few steady calls of the train step or the rollout into it."
    flags.DEFINE_string("profile", None, trace, flag_values=values)
    peer = "Python script with the same command line as a PyTorch TRM, to be timed in turn with us."
    flags.DEFINE_string("peer", None, peer, flag_values=values)
    python = "--peer: its interpreter; default: this one."
    flags.DEFINE_string("peer_python", sys.executable, python, flag_values=values)
    more = "--peer: more flags for it, as in --peer-flags='--compile'."
    flags.DEFINE_string("peer_flags", "", more, flag_values=values)
    malloc = "--peer: it too gets the settings of malloc that trm takes by itself on Linux."
    flags.DEFINE_bool("peer_malloc", True, malloc, flag_values=values)
    rounds = "--peer: turns of each, one after the other."
    flags.DEFINE_integer("rounds", 2, rounds, lower_bound=2, flag_values=values)
    lock = (
        "File on which runs of `trm bench` side by side take turns: they compile all at once, and"
    )
    lock = f"{lock} are timed one at a time."
    flags.DEFINE_string("lock", None, lock, flag_values=values)
    limit = "Seconds that compiling a program may take; 0 for any."
    flags.DEFINE_float("compile_limit", 0.0, limit, lower_bound=0, flag_values=values)
    flags.DEFINE_bool("json", False, "Print one JSON line only.", flag_values=values)
    flags.DEFINE_string("out", None, "Append that line to this file.", flag_values=values)
    table = "Nothing is timed: print a Markdown table of the files that --out wrote."
    flags.DEFINE_bool("table", False, table, flag_values=values)


def run(values: flags.FlagValues, rest: Sequence[str]) -> int:
    """Times the compiled train step or rollout, the input, checkpoints, or start-up.

    trm bench --config experiments/sudoku.py:extreme --config.batch_size=8 --what train --json
    trm bench --config FILE --what all --out benchmarks/cpu.jsonl
    trm bench --config FILE --peer torch_trm.py [--peer-python PYTHON] [--peer-flags=--compile]
    trm bench --config FILE --profile DIR
    trm bench --config FILE --lock FILE      # several of them side by side on one device
    trm bench --table benchmarks/*.jsonl

    Every part is timed in a process of its own; puzzles are random but for the input's, which are
    the config's own where they are at hand. The rate of a large square matmul in the model's
    dtype, measured in the same process, is the ceiling. A ratio above 1 means that the peer took
    longer.
    """
    if values.table:
        print(page.table(rest))
        return EXIT_DONE
    common.refuse_rest(rest)
    bench = _bench(values)
    record = bench.record(values.what)
    line = json.dumps(record)
    if values.out:
        with Path(values.out).open("a") as file:
            file.write(f"{line}\n")
    print(line if values.json else page.text(record))
    return EXIT_DONE


def _bench(values: flags.FlagValues) -> Bench:
    """The benchmark that the flags ask for.

    Raises:
      UserError: they do not go together, or what they name is not there.
    """
    if values.what not in (*PROGRAMS, "all"):
        for name in ("peer", "profile", "lock"):
            if values[name].value is not None:
                raise UserError(
                    f"--{name} is for the train step and the rollout, not for {values.what}; "
                    "leave it out, or give --what train, rollout or all."
                )
    if values.lock is not None and values.peer is not None:
        raise UserError("A --peer takes its turns without the --lock; leave one of them out.")
    if values.peer is None:
        for name in ("peer_python", "peer_flags", "peer_malloc", "rounds"):
            if values[name].present:
                raise UserError(f"--{name} is for a peer; add --peer SCRIPT, or leave it out.")
    elif not Path(values.peer).is_file():
        raise UserError(f"--peer {values.peer} is no file; give a peer's Python script.")
    experiment = common.experiment(values)
    # made first: what follows may take minutes
    _make_folder("workdir", values.workdir)
    _make_folder("out", values.out and str(Path(values.out).parent))
    _make_folder("lock", values.lock and str(Path(values.lock).parent))
    peer = None
    if values.peer is not None:
        more = tuple(shlex.split(values.peer_flags))
        peer = Peer(values.peer, values.peer_python, more, values.peer_malloc)
    return Bench(
        experiment,
        repeats=values.repeats,
        scratch=values.workdir,
        trace=values.profile,
        peer=peer,
        rounds=1 if peer is None else values.rounds,
        lock=values.lock,
        compile_limit=values.compile_limit,
    )


def _make_folder(flag: str, folder: str | None) -> None:
    if folder and "://" in folder:
        raise UserError(f"--{flag} is {folder}; give a folder on a local disk.")
    try:
        Path(folder or ".").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"--{flag} cannot have the folder {folder} ({error.strerror}); give another."
        ) from error
