#!/usr/bin/env python3
r"""Everything worth measuring on one GPU, in one sitting: speed, a training run, what it scores.

    python benchmarks/gpu.py --out runs/gpu --train train.csv.gz --test test.csv.gz \
        --peer torch_trm.py --minutes 20
    python benchmarks/gpu.py --out runs/tiny --train ... --test ... --tiny     # CPU, minutes

Each stage is one `trm` command with a log, OUT/STAGE.log, and a result, OUT/STAGE.json. A stage
that has its result is passed over, so the same command goes on where an earlier one was cut short,
in the middle of training too; remove a result to have it measured again. On SIGTERM training saves
a checkpoint first. A stage that fails is reported and the others go on. The last lines are a table,
also in OUT/table.md; every line that `trm bench` measured is in OUT/bench.jsonl as well. The exit
code is 1 if a stage failed.
"""

import argparse
import contextlib
import csv
import gzip
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
CONFIG = "experiments/sudoku_hard.py:fast"
RESTART_ME = 42
GRACE = 120.0
"""Seconds that a command may take to end once it is asked to."""

SPEED = {
    "speed_mlp": ("experiments/sudoku.py:extreme", []),
    "speed_attention": ("experiments/sudoku.py:extreme_attention", []),
    "speed_maze": ("experiments/maze.py:hard", ["--config.batch_size=128"]),
}
TINY = [
    "--config.batch_size=8",
    "--config.model.width=32",
    "--config.model.heads=2",
    "--config.model.layers=1",
    "--config.model.T=1",
    "--config.model.n=1",
    "--config.model.dtype=float32",
]
TINY_RUN = [
    "--config.steps_per_dispatch=1",
    "--config.steps=1000000",
    "--config.log_every=10",
    "--config.checkpoint_every=50",
    "--config.eval_every=50",
    "--config.eval_batch_size=16",
    "--config.data.base_examples=64",
    "--config.data.heldout_examples=16",
]
NEEDS_RUN = ("depth", "depth_16", "halting", "rollouts", "rollouts_many")
STAGES = (*SPEED, "rollout", "profile", "train", *NEEDS_RUN)


class StageError(Exception):
    """A stage that came to nothing; the message says why."""


class Sitting(NamedTuple):
    """What is to be done, and where what comes of it is kept."""

    options: argparse.Namespace
    out: Path

    def result(self, stage: str) -> dict[str, Any] | None:
        """What a stage found, None if it has found nothing yet."""
        path = self.out / f"{stage}.json"
        return json.loads(path.read_text()) if path.exists() else None

    def keep(self, stage: str, result: dict[str, Any]) -> None:
        """Writes down what a stage found."""
        draft = self.out / f"{stage}.json.tmp"
        draft.write_text(json.dumps(result) + "\n")
        draft.replace(self.out / f"{stage}.json")

    def trm(self, stage: str, *arguments: str) -> dict[str, Any]:
        """Runs a command to its end and gives the JSON object in its last line."""
        code = self.command(stage, arguments, 60 * self.options.limit)
        if code:
            raise StageError(self.reason(stage, code))
        output = (self.out / f"{stage}.out").read_text().strip().splitlines()
        found: dict[str, Any] = json.loads(output[-1])
        return found

    def command(self, stage: str, arguments: tuple[str, ...], limit: float) -> int:
        """Runs a command until it ends, or asks it to after `limit` seconds; its exit code."""
        command = [sys.executable, "-m", "trm_jax", *arguments]
        with (
            (self.out / f"{stage}.out").open("w") as out,
            (self.out / f"{stage}.log").open("a") as log,
        ):
            log.write(f"$ {shlex.join(command)}\n")
            log.flush()
            environment = os.environ | {"PYTHONUNBUFFERED": "1"}
            # a session of its own: the processes that it starts in its turn are ended with it
            process = subprocess.Popen(
                command, stdout=out, stderr=log, cwd=ROOT, env=environment, start_new_session=True
            )
            try:
                return process.wait(limit)
            except subprocess.TimeoutExpired:
                return _end(process)
            except BaseException:
                _end(process)  # we ourselves are ended
                raise

    def reason(self, stage: str, code: int) -> str:
        """Why a command failed: its exit code and the last line of its log."""
        lines = (self.out / f"{stage}.log").read_text(errors="replace").strip().splitlines()
        if code in (-signal.SIGTERM, -signal.SIGKILL):
            return f"took longer than --limit {self.options.limit:g} minutes, or was killed"
        return f"exit code {code}: {lines[-1] if lines else 'no output'}"


def _end(process: subprocess.Popen[bytes]) -> int:
    """Asks a command to end, and after a while makes it."""
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(GRACE)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # whatever of its session is left
    return process.wait()


def speed(sitting: Sitting, stage: str) -> dict[str, Any]:
    """Seconds of a train step, or of a rollout, in turn with the peer."""
    config, changes = SPEED.get(stage, SPEED["speed_mlp"])
    return _bench(sitting, stage, config, changes)


def _bench(sitting: Sitting, stage: str, config: str, changes: list[str]) -> dict[str, Any]:
    options = sitting.options
    what = "rollout" if stage == "rollout" else "train"
    command = ["bench", f"--config={config}", "--config.mesh.data=1", *changes, f"--what={what}"]
    command += ["--json", f"--out={sitting.out / 'bench.jsonl'}", f"--repeats={options.repeats}"]
    command += TINY if options.tiny else []
    peer = [f"--peer={options.peer}", f"--peer-python={options.peer_python}"]
    peer += [f"--peer-flags={options.peer_flags}"] if options.peer_flags else []
    if not options.peer:
        return sitting.trm(stage, *command)
    try:
        return sitting.trm(stage, *command, *peer)
    except StageError as error:
        say(f"{stage}: {error}; once more without the peer")
        return sitting.trm(stage, *command) | {"peer_failed": str(error)}


def profile(sitting: Sitting, stage: str) -> dict[str, Any]:
    """A trace of that train step which is furthest from the ceiling."""
    found = {name: sitting.result(name) for name in SPEED}
    shares = {name: result["share_of_ceiling"] for name, result in found.items() if result}
    if not shares:
        raise StageError("no train step has been timed")
    slowest = min(shares, key=lambda name: shares[name])
    config, changes = SPEED[slowest]
    command = ["bench", f"--config={config}", "--config.mesh.data=1", *changes, "--json"]
    command += [*(TINY if sitting.options.tiny else []), f"--profile={sitting.out / 'profile'}"]
    return sitting.trm(stage, *command) | {"of": slowest}


def train(sitting: Sitting, stage: str) -> dict[str, Any]:
    """Trains for so many minutes in all, over as many calls of this script as it takes."""
    options = sitting.options
    clock = sitting.out / "train.seconds"
    spent = float(clock.read_text()) if clock.exists() else 0.0
    command = ["train", f"--config={options.config}", f"--workdir={_run(sitting)}"]
    command += [f"--config.data.path={Path(options.train).resolve()}"]
    command += [*TINY, *TINY_RUN] if options.tiny else []
    command += shlex.split(options.train_flags)
    start, code = time.monotonic(), 0
    try:
        code = sitting.command(stage, tuple(command), max(60 * options.minutes - spent, 1.0))
    finally:
        spent += time.monotonic() - start
        clock.write_text(f"{spent}\n")
    if code not in (0, RESTART_ME):
        raise StageError(sitting.reason(stage, code))
    if code == RESTART_ME and spent < 60 * options.minutes:
        raise StageError(
            f"stopped after {spent / 60:.1f} of {options.minutes:g} minutes; start again"
        )
    last: dict[str, Any] = {}
    for line in (_run(sitting) / "metrics.jsonl").read_text().splitlines():
        last |= json.loads(line)
    keys = ("step", "train/examples_per_s", "train/loss", "heldout/exact_accuracy")
    return {"minutes": spent / 60, **{key: last.get(key) for key in keys}}


def evaluation(sitting: Sitting, stage: str) -> dict[str, Any]:
    """Scores the trained model on the test puzzles, in one of several ways."""
    options = sitting.options
    deep, usual = ("4", "2") if options.tiny else ("64", "16")
    few = ["--rollouts=2"] if options.tiny else ["--rollouts=16"]
    many = ["--rollouts=3"] if options.tiny else ["--rollouts=100"]
    noise, subset = [f"--noise={options.noise:g}"], _first_rows(sitting, 8 if options.tiny else 200)
    whole = _first_rows(sitting, 16) if options.tiny else Path(options.test).resolve()
    data, flags = {
        "depth": (whole, [f"--steps={deep}"]),
        "depth_16": (whole, [f"--steps={usual}"]),
        "halting": (whole, [f"--steps={usual}", "--halt"]),
        "rollouts": (whole, [f"--steps={usual}", *few, *noise]),
        "rollouts_many": (subset, [f"--steps={usual}", *many, *noise]),
    }[stage]
    run = f"--workdir={_run(sitting)}"
    return sitting.trm(stage, "eval", run, f"--data={data}", *flags, "--json")


def _run(sitting: Sitting) -> Path:
    """Work directory of the training run."""
    return sitting.out / "run"


def _first_rows(sitting: Sitting, count: int) -> Path:
    """A CSV file of the first test puzzles."""
    path = sitting.out / f"test{count}.csv"
    source = Path(sitting.options.test)
    with gzip.open(source, "rt") if source.suffix == ".gz" else source.open() as lines:
        rows = [row for row, _ in zip(csv.reader(lines), range(count + 1), strict=False)]
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


def table(sitting: Sitting, failures: dict[str, str]) -> str:
    """What every stage found, or why it found nothing."""
    lines = ["| stage | result |", "| --- | --- |"]
    for stage in STAGES:
        found = sitting.result(stage)
        what = _summary(stage, found) if found else failures.get(stage, "not done")
        lines.append(f"| {stage} | {what} |")
    return "\n".join(lines)


def _summary(stage: str, found: dict[str, Any]) -> str:
    if stage in (*SPEED, "rollout", "profile"):
        peak = found.get("device_peak_gib", found["program_peak_gib"])
        parts = [
            f"{found['device']}: {found['seconds']:.5g} s",
            f"{found['examples_per_s']:,.0f} puzzles/s",
            f"{found['tflops_per_s']:.4g} TFLOP/s",
            f"{found['share_of_ceiling']:.1%} of {found['ceiling_tflops_per_s']:.4g}",
            f"peak {peak:.3g} GiB",
        ]
        parts += [f"peer/ours {found['ratio']:.3f}"] if "ratio" in found else []
        parts += ["the peer FAILED, see the log"] if "peer_failed" in found else []
        top = found.get("top_operations", [])[:3]
        parts += [f"of {found['of']}"] if stage == "profile" else []
        return "; ".join([*parts, *(f"{each['operation']} {each['share']:.0%}" for each in top)])
    if stage == "train":
        exact = found["heldout/exact_accuracy"]
        scored = "not scored yet" if exact is None else f"{exact:.2%} of held-out puzzles"
        return f"{found['step']} updates in {found['minutes']:.1f} min; {scored}"
    by_depth = {row["depth"]: row["exact_accuracy"] for row in found.get("by_depth") or ()}
    shown = [f"at {depth}: {by_depth[depth]:.2%}" for depth in (1, 4, 16, 64) if depth in by_depth]
    ways = found.get("by_selection") or {}  # which of several tries is answered
    shown += [f"by {name}: {exact:.2%}" for name, exact in ways.items() if exact is not None]
    rate = f"{found['examples'] / found['seconds']:,.1f} puzzles/s with compilation"
    exact = f"{found['exact_accuracy']:.2%} of {found['examples']}"
    return "; ".join([exact, *shown, f"{found['steps_used']:.3g} steps", rate])


def say(line: str) -> None:
    """Prints a line with the time of day, at once."""
    print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)


def parse() -> argparse.Namespace:
    """The command line."""
    style = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=style)
    add = parser.add_argument
    add("--out", required=True, help="folder for logs, results and the run")
    add("--train", required=True, help="CSV or CSV.gz file of Sudoku puzzles to train on")
    add("--test", required=True, help="the same, to score on")
    add("--config", default=CONFIG, help="what to train, from the root")
    add("--train-flags", default="", help="for `trm train`: '--config.checkpoint_every=500'")
    add("--minutes", type=float, default=20.0, help="of training, in all")
    add("--noise", type=float, default=0.3, help="of the rollouts")
    add("--peer", help="PyTorch script to time beside us")
    add("--peer-python", default=sys.executable, help="its interpreter")
    add("--peer-flags", default="--compile", help="for it; '' for none")
    add("--repeats", type=int, default=20, help="timed calls")
    add("--limit", type=float, default=15.0, help="minutes that a stage may take, but training")
    add("--only", default=",".join(STAGES), help="stages, with commas; default: %(default)s")
    add("--skip", default="", help="stages to leave out, with commas")
    add("--tiny", action="store_true", help="try it all on small models; half a minute of training")
    options = parser.parse_args()
    options.only, options.skip = (
        list(filter(None, names.split(","))) for names in (options.only, options.skip)
    )
    for name in [*options.only, *options.skip]:
        if name not in STAGES:
            parser.error(f"{name!r} is no stage; they are: {', '.join(STAGES)}")
    for name in ("train", "test", "peer"):
        path = getattr(options, name)
        if path and not Path(path).is_file():
            parser.error(f"--{name} {path} is no file")
    if options.peer:
        options.peer = Path(options.peer).resolve()
    if options.tiny:
        options.minutes, options.repeats = min(options.minutes, 0.5), min(options.repeats, 2)
    return options


def main() -> int:
    """Goes through the stages."""
    options = parse()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    sitting = Sitting(options, Path(options.out).resolve())
    sitting.out.mkdir(parents=True, exist_ok=True)
    does = dict.fromkeys(SPEED, speed) | {"rollout": speed, "profile": profile, "train": train}
    does |= dict.fromkeys(NEEDS_RUN, evaluation)
    failures: dict[str, str] = {}
    try:
        for stage in options.only:
            if stage in options.skip:
                continue
            if sitting.result(stage):
                say(f"{stage}: done before")
                continue
            say(f"{stage}: begins, log in {sitting.out / stage}.log")
            start = time.monotonic()
            try:
                sitting.keep(stage, does[stage](sitting, stage))
                say(f"{stage}: {time.monotonic() - start:.0f} s")
            except Exception as error:  # whatever it is, the other stages do not depend on it
                failures[stage] = f"FAILED: {error}"
                say(f"{stage}: FAILED: {error}")
    finally:  # also where we are ended
        page = table(sitting, failures)
        (sitting.out / "table.md").write_text(page + "\n")
        print(page, flush=True)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
