#!/usr/bin/env python3
r"""One session of some minutes on a GPU: timing of variants and a peer, training, and evaluation.

    python benchmarks/gpu.py --out runs/gpu --data train.csv.gz --test test.csv.gz \
        --peer torch_trm.py --seconds 690
    python benchmarks/gpu.py --out runs/gpu --steps variants --only sudoku_mlp --peer torch_trm.py
    python benchmarks/gpu.py --out runs/nine --config experiments/lattice.py:nine --fit \
        --data train.csv.gz --test test.csv.gz --only lattice --evaluate search \
        --release sudoku-9x9-lattice          # a model for `trm solve`, see docs/how-to/models.md
    python benchmarks/gpu.py --out runs/tiny --tiny --seconds 300 --data ... --test ...   # CPU

Steps, in this order:
  variants  compiles the programs of the tables below in parallel, and times them one at a time, in
            alternation with the peer; for at most --speed-seconds.
  train     runs `trm train` for the remaining seconds except --aside, with a checkpoint about every
            --every seconds. It is stopped by SIGTERM, and saves a checkpoint.
  eval      runs `trm eval` on the newest checkpoint, within --aside.
  release   with --release NAME, runs `trm models --add` on it, into OUT.

A session may be killed at any time. Each result, also a failure, is written to OUT/results.jsonl
and OUT/table.md as soon as it is known; weights and logs of the training are copied to OUT as they
appear. The same command continues with what has no result yet, and resumes training from the newest
checkpoint. --retry repeats failures.

Exit codes: 0 success; 1 something failed; 2 wrong usage or input.
"""

import argparse
import csv
import gzip
import shlex
import signal
import sys
import threading
import time
from pathlib import Path

from trm_jax.bench import comparison, session_speed, session_training
from trm_jax.bench.comparison import SPEED_OF, PeerTurns, Table, Variant
from trm_jax.bench.session import Session, StepError, opened, say
from trm_jax.bench.session_page import page
from trm_jax.core.errors import UserError

ROOT = Path(__file__).resolve().parent.parent
STEPS = ("variants", "train", "eval", "release")
NO_TRITON = "--xla_gpu_enable_triton_gemm=false"

SHAPES: Table = {
    "sudoku_mlp": {
        "config": "experiments/sudoku.py:extreme",
        "peer": "--batch=768 --mixer=mlp --seq=81 --vocab=11 --prefix=16 --n=6",
    },
    "sudoku_attention": {
        "config": "experiments/sudoku.py:extreme_attention",
        "peer": "--batch=768 --mixer=attn --seq=81 --vocab=11 --prefix=16 --n=6",
    },
    "lattice_nine": {
        "config": "experiments/lattice.py:nine",
        "changes": ["--config.data.path=generate"],
    },
    "maze_attention": {
        "config": "experiments/maze.py:hard",
        "changes": ["--config.batch_size=128"],
        "peer": "--batch=128 --mixer=attn --seq=900 --vocab=6 --prefix=16 --n=4",
    },
}
WAYS: Table = {
    "plain": {"changes": ["--config.model.kernels=plain", "--config.model.attention=plain"]},
    "cudnn": {
        "changes": ["--config.model.kernels=plain", "--config.model.attention=cudnn"],
        "shapes": ["sudoku_attention", "maze_attention"],
        "needs_gpu": True,
    },
    "chunked": {
        "changes": ["--config.model.kernels=plain", "--config.model.attention=chunked"],
        "shapes": ["maze_attention"],
    },
    "fused": {"changes": ["--config.model.kernels=fused", "--config.model.attention=auto"]},
    "plain_no_triton": {
        "changes": ["--config.model.kernels=plain", "--config.model.attention=auto"],
        "xla_flags": NO_TRITON,
    },
    "fused_no_triton": {
        "changes": ["--config.model.kernels=fused", "--config.model.attention=auto"],
        "xla_flags": NO_TRITON,
    },
}
"""Variants to compare at each shape; flash attention is not among them, since it is for TPUs."""

EVALUATIONS = {
    "depth": ["--steps=64"],
    "depth_16": ["--steps=16"],
    "halting": ["--steps=16", "--halt"],
    "rollouts": ["--steps=16", "--rollouts=16", "--noise=0.3"],
    "search": ["--passes=4096", "--chains=64", "--seconds=40"],
}
TINY = ["batch_size=8", "model.width=32", "model.heads=2", "model.layers=1", "model.T=1"]
TINY = [f"--config.{change}" for change in [*TINY, "model.n=1", "model.dtype=float32"]]
TINY_PEER = "--batch=8 --width=32 --heads=2 --layers=1 --T=1 --n=1 --dtype=float32"
TINY_TRAINING = ["eval_batch_size=16", "data.heldout_examples=16", "optimizer.ema_start=0"]


def parse() -> argparse.Namespace:
    """Parses the command line."""
    style = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=style)
    add = parser.add_argument
    add("--out", required=True, type=Path, help="folder for results, weights and logs")
    add("--work", type=Path, help="folder for everything else; default: OUT/work")
    total = "time limit of the session; default: %(default)g"
    add("--seconds", type=float, default=690.0, help=total)
    add("--steps", default=",".join(STEPS), help="steps, joined by commas; default: %(default)s")
    add("--retry", action="store_true", help="repeat what has failed before")
    add(
        "--tiny",
        action="store_true",
        help="use small models, and skip what needs a GPU, for a test on a CPU",
    )
    group = parser.add_argument_group("variants")
    add = group.add_argument
    add("--variants", type=Path, help='JSON file instead of the tables: {"shapes", "ways"}')
    only = "variants to time: names or prefixes, joined by commas, as in sudoku_mlp; default: all"
    add("--only", default="", help=only)
    add("--speed-seconds", type=float, help="time limit; default: half of --seconds")
    parallel = "programs that compile at the same time; default: %(default)s"
    add("--parallel", type=int, default=8, help=parallel)
    add("--repeats", type=int, default=20, help="number of timed calls; default: %(default)s")
    limit = "time limit for compiling a program, in seconds; default: %(default)g"
    add("--compile-limit", type=float, default=150.0, help=limit)
    add("--profile", default="", help="names of variants to trace as well, joined by commas")
    add("--peer", type=Path, help="PyTorch script to time in alternation")
    add("--peer-python", default=sys.executable, help="Python interpreter of --peer")
    flags_help = "flags for --peer, '' for none; default: %(default)s"
    add("--peer-flags", default="--compile", help=flags_help)
    turns = "turns of --peer at each shape; default: %(default)s"
    add("--peer-turns", type=int, default=2, help=turns)
    group = parser.add_argument_group("train and eval")
    add = group.add_argument
    config = "config file to train, FILE.py:VARIANT; default: %(default)s"
    add("--config", default="experiments/sudoku_hard.py:fast", help=config)
    add("--data", type=Path, help=".csv or .csv.gz file of puzzles to train on")
    base = "number of puzzles of --data to train on; default: %(default)s"
    add("--base", type=int, default=1000, help=base)
    add("--train-flags", default="", help="flags for `trm train`, as in '--config.seed=1'")
    add("--fit", action="store_true", help="set config.steps to what fits into the time")
    every = "approximate seconds between checkpoints; default: %(default)g"
    add("--every", type=float, default=60.0, help=every)
    heldout = "checkpoints between evaluations on held-out puzzles, 0: none; default: %(default)s"
    add("--heldout", type=int, default=3, help=heldout)
    aside = "seconds reserved for saving and evaluation; default: %(default)g"
    add("--aside", type=float, default=90.0, help=aside)
    add("--test", type=Path, help=".csv or .csv.gz file of puzzles to evaluate on")
    count = "number of puzzles of --test to evaluate on, the first ones; default: %(default)s"
    add("--puzzles", type=int, default=1000, help=count)
    add("--release", default="", help="name of a released model to make of the newest checkpoint")
    add("--hardware", default="one GPU", help="hardware for its card; default: %(default)s")
    evaluate = f"evaluations, of {', '.join(EVALUATIONS)}, joined by commas; default: %(default)s"
    add("--evaluate", default="depth", help=evaluate)
    return checked(parser, parser.parse_args())


def checked(parser: argparse.ArgumentParser, options: argparse.Namespace) -> argparse.Namespace:
    """Checks the options before anything is made, and splits lists at commas."""
    for name, known in (("steps", STEPS), ("evaluate", tuple(EVALUATIONS))):
        names = [each for each in getattr(options, name).split(",") if each]
        for each in names:
            if each not in known:
                parser.error(f"--{name}: {each!r} is not one of {', '.join(known)}")
        setattr(options, name, [each for each in known if each in names])
    for name, step in (("data", "train"), ("test", "eval")):
        if step in options.steps and getattr(options, name) is None:
            parser.error(
                f"step {step} needs --{name} FILE; add it, or leave the step out of --steps"
            )
    for name in ("data", "test", "peer", "variants"):
        path = getattr(options, name)
        if path is not None and not path.is_file():
            parser.error(f"--{name} {path} is not a file")
    if options.speed_seconds is None:
        options.speed_seconds = options.seconds / 2 if "train" in options.steps else options.seconds
    return options


def wanted(options: argparse.Namespace) -> list[Variant | PeerTurns]:
    """The programs to time, in order; the config to train comes first, to know its speed."""
    shapes, ways = comparison.read(options.variants) if options.variants else (SHAPES, WAYS)
    if options.tiny:
        gpu = [name for name, way in ways.items() if way.get("needs_gpu")]
        ways = {name: way for name, way in ways.items() if name not in gpu}
        if gpu:
            say(f"--tiny skips the variants that need a GPU: {', '.join(gpu)}")
    found = comparison.expanded(shapes, ways)
    if options.peer is None:
        found = [item for item in found if isinstance(item, Variant)]
    if options.only:
        found = [item for item in found if item.name.startswith(tuple(options.only.split(",")))]
    found += comparison.traces(found, [name for name in options.profile.split(",") if name])
    if "train" not in options.steps:
        return found
    changes = tuple(each for each in shlex.split(options.train_flags) if "--config." in each)
    return [Variant(SPEED_OF, options.config, changes), *found]


def speed(options: argparse.Namespace, session: Session, until: float) -> session_speed.Speed:
    """The settings of the timing."""
    peer = None
    if options.peer is not None:
        script = [options.peer_python, str(options.peer.resolve())]
        peer = (*script, *shlex.split(options.peer_flags))
    return session_speed.Speed(
        until=until,
        parallel=max(1, options.parallel),
        repeats=options.repeats,
        compile_limit=options.compile_limit,
        traces=session.work / "traces",
        peer=peer,
        peer_turns=options.peer_turns,
        small=(tuple(TINY), tuple(shlex.split(TINY_PEER))) if options.tiny else ((), ()),
    )


def training(options: argparse.Namespace, until: float) -> session_training.Training:
    """The settings of the training."""
    changes = [f"data.path={options.data.resolve()}", f"data.base_examples={options.base}"]
    changes += TINY_TRAINING if options.tiny else []
    flags = [f"--config.{change}" for change in changes] + (TINY if options.tiny else [])
    return session_training.Training(
        config=options.config,
        flags=(*flags, *shlex.split(options.train_flags)),
        every=options.every,
        evaluate=options.heldout,
        fit=options.fit,
        until=until,
        patience=options.aside / 2,
    )


def first_rows(source: Path, target: Path, count: int) -> Path:
    """Writes the first `count` puzzles of a CSV file to another one; returns its path."""
    with gzip.open(source, "rt") if source.suffix == ".gz" else source.open() as lines:
        rows = [row for row, _ in zip(csv.reader(lines), range(count + 1), strict=False)]
    with target.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return target


def sit(options: argparse.Namespace, session: Session) -> bool:
    """Runs the steps; returns whether all succeeded."""
    start, items = time.monotonic(), wanted(options)
    if options.retry:
        session.ledger.forget_failures()

    guard = threading.Lock()

    def write() -> None:
        draft = session.out / "table.md.tmp"
        with guard:
            draft.write_text(page(session.ledger, items))
            draft.replace(session.out / "table.md")

    fine = True
    try:
        if "variants" in options.steps:
            until = min(start + options.speed_seconds, session.end)
            session_speed.run(session, speed(options, session, until), items, write)
        if "train" in options.steps:
            aside = options.aside if "eval" in options.steps else options.aside / 2
            fine = trained(session, training(options, session.end - aside))
            write()
        if "eval" in options.steps:
            data = first_rows(options.test, session.work / "test.csv", options.puzzles)
            ways = {name: EVALUATIONS[name] for name in options.evaluate}
            fine &= session_training.evaluate(session, data, ways, write)
        if "release" in options.steps and options.release:
            fine &= released(options, session)
    finally:  # also if this process is ended
        write()
        print((session.out / "table.md").read_text(), flush=True)
    return fine and not any("failed" in each for each in session.ledger.all())


def trained(session: Session, asked: session_training.Training) -> bool:
    """Trains; returns whether it succeeded. Checkpoints can be evaluated in any case."""
    say(f"train: for {session.left(asked.until):.0f} s, log in {session.log('train')}")
    try:
        session_training.run(session, asked)
    except StepError as error:
        say(f"train: {error}")
        return False
    return True


def released(options: argparse.Namespace, session: Session) -> bool:
    """Makes a released model of the run in OUT/models; returns whether it succeeded."""
    flags = f"--config {options.config} --config.data.path={options.data.name}"
    command = f"trm train {flags} {options.train_flags}".strip()
    try:
        session_training.release(session, options.release, command, options.hardware)
    except StepError as error:
        say(f"release: {error}")
        return False
    return True


def main() -> int:
    """Runs one session; returns the exit code."""
    options = parse()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    out = options.out.resolve()
    work = options.work.resolve() if options.work else out / "work"
    try:
        with opened(out, work, ROOT, options.seconds) as session:
            return 0 if sit(options, session) else 1
    except UserError as error:
        print(f"gpu.py: {error}", file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
