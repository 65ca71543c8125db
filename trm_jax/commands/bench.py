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
    what = "What to time; 'all' times everything and makes one record."
    flags.DEFINE_enum("what", "train", [*PARTS, "all"], what, flag_values=values)
    repeats = "Number of timed calls."
    flags.DEFINE_integer("repeats", 10, repeats, lower_bound=1, flag_values=values)
    where = "Directory for temporary files (checkpoints, datasets); default: the system's."
    flags.DEFINE_string("workdir", None, where, flag_values=values)
    trace = "Directory for a profiler trace of a few calls of the train step or the rollout."
    flags.DEFINE_string("profile", None, trace, flag_values=values)
    peer = "Python script of another implementation to time in alternation with this one; "
    peer += "trm_jax/bench/peer.py describes its command line."
    flags.DEFINE_string("peer", None, peer, flag_values=values)
    python = "Python interpreter of --peer; default: the one that runs trm."
    flags.DEFINE_string("peer_python", sys.executable, python, flag_values=values)
    more = "Additional flags for --peer, as in --peer_flags='--compile'."
    flags.DEFINE_string("peer_flags", "", more, flag_values=values)
    malloc = "Run --peer with the malloc settings that trm uses for itself on Linux."
    flags.DEFINE_bool("peer_malloc", True, malloc, flag_values=values)
    rounds = "Number of turns of each implementation, with --peer."
    flags.DEFINE_integer("rounds", 2, rounds, lower_bound=2, flag_values=values)
    lock = "Lock file of several `trm bench` that run at the same time on one device: they compile"
    lock = f"{lock} in parallel, and are timed one at a time."
    flags.DEFINE_string("lock", None, lock, flag_values=values)
    limit = "Time limit for compiling one program, in seconds; 0 for none."
    flags.DEFINE_float("compile_limit", 0.0, limit, lower_bound=0, flag_values=values)
    flags.DEFINE_bool("json", False, "Print the record as one JSON line.", flag_values=values)
    flags.DEFINE_string("out", None, "File to append the JSON line to.", flag_values=values)
    table = "Time nothing; print a Markdown table of the records in the given files."
    flags.DEFINE_bool("table", False, table, flag_values=values)


def run(values: flags.FlagValues, rest: Sequence[str]) -> int:
    """Times the compiled train step or rollout, the input pipeline, checkpoints or start-up.

    Usage:
      trm bench --config sudoku:extreme --config.batch_size=8 --what train --json
      trm bench --config FILE --what all --out benchmarks/cpu.jsonl
      trm bench --config FILE --peer torch_trm.py [--peer_python PYTHON] [--peer_flags=--compile]
      trm bench --config FILE --profile DIR
      trm bench --config FILE --lock FILE      (several at the same time on one device)
      trm bench --table benchmarks/*.jsonl

    Each part is timed in a process of its own, on random puzzles; the input pipeline is timed on
    the config's dataset where that is available. Throughput is compared with a ceiling: the rate
    of a large square matmul in the model's dtype, measured in the same process. With --peer,
    the ratio is the peer's time divided by ours.
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
    """The benchmark that the flags describe.

    Raises:
      UserError: flags exclude each other, or a file does not exist.
    """
    if values.what not in (*PROGRAMS, "all"):
        for name in ("peer", "profile", "lock"):
            if values[name].value is not None:
                raise UserError(
                    f"--{name} is for the train step and the rollout, not for {values.what}; "
                    "leave it out, or give --what train, rollout or all."
                )
    if values.lock is not None and values.peer is not None:
        raise UserError("--peer and --lock cannot be combined; leave one of them out.")
    if values.peer is None:
        for name in ("peer_python", "peer_flags", "peer_malloc", "rounds"):
            if values[name].present:
                raise UserError(f"--{name} is for a peer; add --peer SCRIPT, or leave it out.")
    elif not Path(values.peer).is_file():
        raise UserError(f"--peer {values.peer} is not a file; give a peer's Python script.")
    experiment = common.experiment(values)
    # made before timing, which may take minutes
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
            f"--{flag}: the folder {folder} cannot be made ({error.strerror}); give another."
        ) from error
