"""The later steps of a sitting: training in the remaining time, and its evaluation."""

import contextlib
import dataclasses
import json
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from trm_jax.bench.comparison import SPEED_OF
from trm_jax.bench.sitting import OutOfTimeError, Sitting, StepError, last_line, say
from trm_jax.cli import COMMANDS
from trm_jax.core.errors import EXIT_DONE, EXIT_RESTART_ME

UNKNOWN = 100
"""Updates between two checkpoints if the time of an update is unknown."""
START = 60.0
"""Assumed seconds from the start of training to its first update."""
LOOK = 2.0
"""Seconds between two checks for a new checkpoint."""
WEIGHTS = "run.trmpack"


@dataclasses.dataclass(frozen=True)
class Training:
    """Settings of the training.

    Attributes:
      config: config file, as for `trm train --config`.
      flags: additional flags of `trm train`.
      every: approximate seconds between two checkpoints.
      evaluate: number of checkpoints between two evaluations on held-out puzzles; 0 for none.
      fit: whether to set `config.steps`, and so the schedule, to what fits into the time.
      until: time at which training is stopped, by `time.monotonic`.
      patience: seconds that it may take to save a checkpoint then.
    """

    config: str
    flags: tuple[str, ...]
    every: float
    evaluate: int
    fit: bool
    until: float
    patience: float


def run(sitting: Sitting, training: Training) -> None:
    """Trains, or resumes the run of an earlier sitting, and copies its weights.

    Raises:
      StepError: training failed; its saved checkpoints are kept.
      OutOfTimeError: no time is left.
    """
    seconds = sitting.left(training.until)
    if seconds <= 0:
        raise OutOfTimeError("no time is left")
    command = [sys.executable, "-m", "trm_jax", "train", f"--config={training.config}"]
    command += [f"--workdir={sitting.run}", *training.flags, *_rhythm(sitting, training)]
    start, log = time.monotonic(), sitting.log("train")
    with _kept(sitting):
        code = sitting.children.run(
            command,
            None,
            log,
            seconds,
            farewell=signal.SIGTERM,
            patience=training.patience,
        )
    found = {"code": code, "train_seconds": round(time.monotonic() - start, 1), **_last(sitting)}
    if code in (EXIT_DONE, EXIT_RESTART_ME):
        sitting.ledger.add("train", found)
        return
    why = f"exit code {code}: {last_line(log)}"
    sitting.ledger.add("train", {**found, "failed": why})
    raise StepError(why)


def _rhythm(sitting: Sitting, training: Training) -> list[str]:
    """Flags for the numbers of updates: in total, and between checkpoints and log points."""
    timed = sitting.ledger.get(SPEED_OF) or {}
    update = timed.get("seconds")
    every = max(1, round(training.every / update)) if update else UNKNOWN
    flags = [
        f"--config.checkpoint_every={every}",
        f"--config.eval_every={every * training.evaluate}",
        f"--config.log_every={max(1, every // 5)}",
        "--config.steps_per_dispatch=1",
    ]
    if not training.fit:
        return flags
    plan = sitting.work / "steps"  # all sittings of a run have the same schedule
    if not plan.exists():
        if not update:
            raise StepError(f"without {SPEED_OF} it is unknown how many updates fit into the time")
        left = sitting.left(training.until) - START
        plan.write_text(str(max(every, int(left / update))))
    return [*flags, f"--config.steps={plan.read_text()}"]


def _last(sitting: Sitting) -> dict[str, Any]:
    """The last value of each logged metric, and the newest checkpoint."""
    last: dict[str, Any] = {}
    path = sitting.run / "metrics.jsonl"
    for line in path.read_text(errors="replace").splitlines() if path.exists() else ():
        with contextlib.suppress(ValueError):
            last |= json.loads(line)
    keys = ("train/loss", "train/exact_accuracy", "train/examples_per_s", "heldout/exact_accuracy")
    steps = checkpoints(sitting.run)
    return {"step": max(steps, default=0)} | {key: last[key] for key in keys if key in last}


def checkpoints(run: Path) -> list[int]:
    """Training steps of the complete checkpoints in a work directory, sorted."""
    folder = run / "checkpoints"
    names = [path.name for path in folder.iterdir()] if folder.exists() else []
    return sorted(int(name) for name in names if name.isdigit())


@contextlib.contextmanager
def _kept(sitting: Sitting) -> Iterator[None]:
    """Copies weights and logs to `out` as they appear, in a thread, and again at the end."""
    stop = threading.Event()
    keeper = Keeper(sitting)

    def watch() -> None:
        while not stop.wait(LOOK):
            keeper.look()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        keeper.look()


class Keeper:
    """Copies the weights and logs of training into the sitting's output folder."""

    def __init__(self, sitting: Sitting) -> None:
        """Starts without copying."""
        self._sitting, self._step = sitting, 0

    def look(self) -> None:
        """Copies logs, and the newest checkpoint if it is new; failures are retried next time."""
        sitting = self._sitting
        for path in (sitting.run / "metrics.jsonl", sitting.run / "config.json"):
            if path.exists():
                _copy(path, sitting.out / path.name)
        if sitting.log("train").exists():
            _copy(sitting.log("train"), sitting.out / "train.log")
        step = max(checkpoints(sitting.run), default=0)
        if step <= self._step:
            return
        try:
            keep_weights(sitting, step)
        except (OSError, StepError) as error:
            say(f"checkpoint {step} is not copied yet: {error}")
            return
        self._step = step
        sitting.ledger.add("weights", {"step": step})


def keep_weights(sitting: Sitting, step: int) -> None:
    """Copies a checkpoint to the output folder: packed if there is `trm pack`, else as a folder.

    Raises:
      StepError: the checkpoint cannot be packed.
      OSError: it cannot be copied, for example because training has just deleted it.
    """
    if "pack" in COMMANDS:
        command = [sys.executable, "-m", "trm_jax", "pack", str(sitting.run)]
        command += [f"--out={sitting.out / WEIGHTS}", f"--checkpoint={step}"]
        log = sitting.log("pack")
        code = sitting.children.run(
            command, sitting.log("pack", "out"), log, 120, {"JAX_PLATFORMS": "cpu"}
        )
        if code:
            raise StepError(f"exit code {code}: {last_line(log)}")
        return
    copy, draft = sitting.out / "checkpoint", sitting.out / "checkpoint.tmp"
    shutil.rmtree(draft, ignore_errors=True)
    shutil.copytree(sitting.run / "checkpoints" / str(step), draft / str(step))
    before = sitting.out / "checkpoint.before"
    shutil.rmtree(before, ignore_errors=True)
    if copy.exists():
        copy.rename(before)
    draft.rename(copy)
    shutil.rmtree(before, ignore_errors=True)


def release(sitting: Sitting, name: str, command: str, hardware: str) -> None:
    """Makes a released model of the newest checkpoint, in the output's folder "models".

    Args:
      sitting: sitting with the training and its evaluations.
      name: name of the model.
      command: command that trained it.
      hardware: hardware on which it was evaluated.

    Raises:
      StepError: there is no checkpoint, or `trm models --add` failed.
    """
    steps, folder = checkpoints(sitting.run), sitting.out / "models"
    if not steps:
        raise StepError("there is no checkpoint")
    arguments = [f"--workdir={sitting.run}", f"--name={name}", f"--checkpoint={steps[-1]}"]
    arguments += [f"--command={command}", f"--hardware={hardware}", f"--folder={folder}"]
    folder.mkdir(exist_ok=True)
    whole = [sys.executable, "-m", "trm_jax", "models", "--add", "--overwrite", *arguments]
    log, found = sitting.log("release"), {"checkpoint": steps[-1], "model": name}
    code = sitting.children.run(
        whole, sitting.log("release", "out"), log, sitting.left(), {"JAX_PLATFORMS": "cpu"}
    )
    if code:
        failed = f"exit code {code}: {last_line(log)}"
        sitting.ledger.add("release", {**found, "failed": failed})
        raise StepError(failed)
    sitting.ledger.add("release", found)
    say(f"release: {folder / name}.npz of checkpoint {steps[-1]}")


def _copy(source: Path, target: Path) -> None:
    draft = target.with_name(f"{target.name}.tmp")
    with contextlib.suppress(FileNotFoundError):
        shutil.copyfile(source, draft)
        draft.replace(target)


def searched(found: Mapping[str, Any]) -> str:
    """A clause on the result of a lattice model's search; empty for other evaluations."""
    search = found.get("chain_search")
    if not search:
        return ""
    shares = (f"{search[key]:.2%} {key}" for key in ("solved", "wrong", "abstained"))
    return f"; with search {', '.join(shares)}, {search['passes']:.0f} passes per puzzle"


def evaluate(
    sitting: Sitting,
    data: Path,
    ways: Mapping[str, Sequence[str]],
    written: Callable[[], None],
) -> bool:
    """Evaluates the newest checkpoint in several ways; existing results are not repeated.

    Args:
      sitting: sitting with the training.
      data: file or dataset of puzzles.
      ways: flags of `trm eval` by name.
      written: called after each result.

    Returns:
      Whether all evaluations succeeded.
    """
    steps = checkpoints(sitting.run)
    if not steps:
        say("eval: there is no checkpoint")
        return False
    step, fine = steps[-1], True
    for way, flags in ways.items():
        name = f"eval/{way}"
        before = sitting.ledger.get(name)
        if before and before.get("checkpoint") == step and "failed" not in before:
            say(f"{name}: already done")
            continue
        command = ["eval", f"--workdir={sitting.run}", f"--checkpoint={step}", f"--data={data}"]
        try:
            found = sitting.trm(name, [*command, *flags, "--json"], sitting.end)
            sitting.ledger.add(name, {**found, "checkpoint": step})
            say(f"{name}: {found['exact_accuracy']:.2%} of {found['examples']}{searched(found)}")
        except OutOfTimeError as error:
            say(f"{name}: {error}")
            fine = False
        except StepError as error:
            sitting.ledger.add(name, {"failed": str(error), "checkpoint": step})
            say(f"{name}: {error}")
            fine = False
        written()
    return fine
