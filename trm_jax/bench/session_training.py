"""The later steps of a session: training in the remaining time, and its evaluation."""

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
from trm_jax.bench.session import OutOfTimeError, Session, StepError, last_line, say
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


def run(session: Session, training: Training) -> None:
    """Trains, or resumes the run of an earlier session, and copies its weights.

    Raises:
      StepError: training failed; its saved checkpoints are kept.
      OutOfTimeError: no time is left.
    """
    seconds = session.left(training.until)
    if seconds <= 0:
        raise OutOfTimeError("no time is left")
    command = [sys.executable, "-m", "trm_jax", "train", f"--config={training.config}"]
    command += [f"--workdir={session.run}", *training.flags, *_rhythm(session, training)]
    start, log = time.monotonic(), session.log("train")
    with _kept(session):
        code = session.children.run(
            command,
            None,
            log,
            seconds,
            farewell=signal.SIGTERM,
            patience=training.patience,
        )
    found = {"code": code, "train_seconds": round(time.monotonic() - start, 1), **_last(session)}
    if code in (EXIT_DONE, EXIT_RESTART_ME):
        session.ledger.add("train", found)
        return
    why = f"exit code {code}: {last_line(log)}"
    session.ledger.add("train", {**found, "failed": why})
    raise StepError(why)


def _rhythm(session: Session, training: Training) -> list[str]:
    """Flags for the numbers of updates: in total, and between checkpoints and log points."""
    timed = session.ledger.get(SPEED_OF) or {}
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
    plan = session.work / "steps"  # all sessions of a run have the same schedule
    if not plan.exists():
        if not update:
            raise StepError(f"without {SPEED_OF} it is unknown how many updates fit into the time")
        left = session.left(training.until) - START
        plan.write_text(str(max(every, int(left / update))))
    return [*flags, f"--config.steps={plan.read_text()}"]


def _last(session: Session) -> dict[str, Any]:
    """The last value of each logged metric, and the newest checkpoint."""
    last: dict[str, Any] = {}
    path = session.run / "metrics.jsonl"
    for line in path.read_text(errors="replace").splitlines() if path.exists() else ():
        with contextlib.suppress(ValueError):
            last |= json.loads(line)
    keys = ("train/loss", "train/exact_accuracy", "train/examples_per_s", "heldout/exact_accuracy")
    steps = checkpoints(session.run)
    return {"step": max(steps, default=0)} | {key: last[key] for key in keys if key in last}


def checkpoints(run: Path) -> list[int]:
    """Training steps of the complete checkpoints in a work directory, sorted."""
    folder = run / "checkpoints"
    names = [path.name for path in folder.iterdir()] if folder.exists() else []
    return sorted(int(name) for name in names if name.isdigit())


@contextlib.contextmanager
def _kept(session: Session) -> Iterator[None]:
    """Copies weights and logs to `out` as they appear, in a thread, and again at the end."""
    stop = threading.Event()
    keeper = Keeper(session)

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
    """Copies the weights and logs of training into the session's output folder."""

    def __init__(self, session: Session) -> None:
        """Starts without copying."""
        self._session, self._step = session, 0

    def look(self) -> None:
        """Copies logs, and the newest checkpoint if it is new; failures are retried next time."""
        session = self._session
        for path in (session.run / "metrics.jsonl", session.run / "config.json"):
            if path.exists():
                _copy(path, session.out / path.name)
        if session.log("train").exists():
            _copy(session.log("train"), session.out / "train.log")
        step = max(checkpoints(session.run), default=0)
        if step <= self._step:
            return
        try:
            keep_weights(session, step)
        except (OSError, StepError) as error:
            say(f"checkpoint {step} is not copied yet: {error}")
            return
        self._step = step
        session.ledger.add("weights", {"step": step})


def keep_weights(session: Session, step: int) -> None:
    """Copies a checkpoint to the output folder: packed if there is `trm pack`, else as a folder.

    Raises:
      StepError: the checkpoint cannot be packed.
      OSError: it cannot be copied, for example because training has just deleted it.
    """
    if "pack" in COMMANDS:
        command = [sys.executable, "-m", "trm_jax", "pack", str(session.run)]
        command += [f"--out={session.out / WEIGHTS}", f"--checkpoint={step}"]
        log = session.log("pack")
        code = session.children.run(
            command, session.log("pack", "out"), log, 120, {"JAX_PLATFORMS": "cpu"}
        )
        if code:
            raise StepError(f"exit code {code}: {last_line(log)}")
        return
    copy, draft = session.out / "checkpoint", session.out / "checkpoint.tmp"
    shutil.rmtree(draft, ignore_errors=True)
    shutil.copytree(session.run / "checkpoints" / str(step), draft / str(step))
    before = session.out / "checkpoint.before"
    shutil.rmtree(before, ignore_errors=True)
    if copy.exists():
        copy.rename(before)
    draft.rename(copy)
    shutil.rmtree(before, ignore_errors=True)


def release(session: Session, name: str, command: str, hardware: str) -> None:
    """Makes a released model of the newest checkpoint, in the output's folder "models".

    Args:
      session: session with the training and its evaluations.
      name: name of the model.
      command: command that trained it.
      hardware: hardware on which it was evaluated.

    Raises:
      StepError: there is no checkpoint, or `trm models --add` failed.
    """
    steps, folder = checkpoints(session.run), session.out / "models"
    if not steps:
        raise StepError("there is no checkpoint")
    arguments = [f"--workdir={session.run}", f"--name={name}", f"--checkpoint={steps[-1]}"]
    arguments += [f"--command={command}", f"--hardware={hardware}", f"--folder={folder}"]
    folder.mkdir(exist_ok=True)
    whole = [sys.executable, "-m", "trm_jax", "models", "--add", "--overwrite", *arguments]
    log, found = session.log("release"), {"checkpoint": steps[-1], "model": name}
    code = session.children.run(
        whole, session.log("release", "out"), log, session.left(), {"JAX_PLATFORMS": "cpu"}
    )
    if code:
        failed = f"exit code {code}: {last_line(log)}"
        session.ledger.add("release", {**found, "failed": failed})
        raise StepError(failed)
    session.ledger.add("release", found)
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
    session: Session,
    data: Path,
    ways: Mapping[str, Sequence[str]],
    written: Callable[[], None],
) -> bool:
    """Evaluates the newest checkpoint in several ways; existing results are not repeated.

    Args:
      session: session with the training.
      data: file or dataset of puzzles.
      ways: flags of `trm eval` by name.
      written: called after each result.

    Returns:
      Whether all evaluations succeeded.
    """
    steps = checkpoints(session.run)
    if not steps:
        say("eval: there is no checkpoint")
        return False
    step, fine = steps[-1], True
    for way, flags in ways.items():
        name = f"eval/{way}"
        before = session.ledger.get(name)
        if before and before.get("checkpoint") == step and "failed" not in before:
            say(f"{name}: already done")
            continue
        command = ["eval", f"--workdir={session.run}", f"--checkpoint={step}", f"--data={data}"]
        try:
            found = session.trm(name, [*command, *flags, "--json"], session.end)
            session.ledger.add(name, {**found, "checkpoint": step})
            say(f"{name}: {found['exact_accuracy']:.2%} of {found['examples']}{searched(found)}")
        except OutOfTimeError as error:
            say(f"{name}: {error}")
            fine = False
        except StepError as error:
            session.ledger.add(name, {"failed": str(error), "checkpoint": step})
            say(f"{name}: {error}")
            fine = False
        written()
    return fine
