"""The training loop."""

import contextlib
import functools
import json
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax

from trm_jax.config.experiment import Experiment
from trm_jax.core.distributed import Agreement, check_agree, is_first, together
from trm_jax.core.errors import EXIT_DONE, EXIT_RESTART_ME
from trm_jax.core.memory import enough_memory
from trm_jax.core.mesh import check_divides, make_mesh
from trm_jax.core.signals import StopSignals
from trm_jax.tasks.sources import offered_training_data, training_data_path
from trm_jax.tasks.task import task_of
from trm_jax.train import pack
from trm_jax.train.checkpoint import Checkpoints
from trm_jax.train.logbook import Logbook, check_mirror
from trm_jax.train.reporter import Reporter, say
from trm_jax.train.run import HELDOUT, Run, prepare, training_batches
from trm_jax.train.soundness import DamagedError
from trm_jax.train.state import TrainState
from trm_jax.train.trained import Trained, load
from trm_jax.train.transfer import start_from
from trm_jax.train.workdir import WorkDir

Start = Callable[..., Trained]
"""Loads the weights that `config.init_from` names onto a `mesh`, see `trained.load`."""


def train(experiment: Experiment, root: str, load_start: Start = load) -> int:
    """Trains the experiment of a work directory, or resumes it.

    Args:
      experiment: the experiment; a work directory of another one is refused.
      root: the work directory. A run with the same experiment is resumed bit for bit.
      load_start: loads what `config.init_from` names, if it is not a pack.

    Returns:
      The exit code: done, or "checkpointed, restart me" after SIGTERM or SIGINT.

    Raises:
      UserError: the configuration, the data or the work directory is invalid.
      NonFiniteLossError: the loss is not finite; the newest checkpoint is from before.
    """
    remedy = "config.batch_size, or raise config.accumulate"
    with enough_memory(f"Training with batches of {experiment.batch_size}", remedy):
        return _train(experiment, WorkDir(root), load_start)


def _train(experiment: Experiment, workdir: WorkDir, load_start: Start) -> int:
    # Errors of the user are found before anything is compiled.
    mesh = make_mesh(experiment.mesh.data, experiment.mesh.table)
    check_divides(mesh, experiment.batch_size, experiment.accumulate)
    if is_first():
        check_mirror(experiment.wandb_project)
    begun = workdir.has_config()
    dataset, keep = offered_training_data(experiment.data, Path(workdir.data))
    if not begun:
        pack.refuse_unfit(experiment, dataset.manifest)
    run = prepare(experiment, dataset, mesh)
    meta = workdir.refuse_claim(experiment, dataset.manifest)
    check_agree(json.dumps(meta, sort_keys=True), "experiment or dataset")
    _announce(run)
    fresh = None if workdir.has_checkpoints() else _fresh(run, load_start)
    keep()
    workdir.claim(experiment, dataset.manifest)
    alone = workdir.held() if is_first() else contextlib.nullcontext()
    with (
        alone,
        Checkpoints(workdir.checkpoints) as checkpoints,
        StopSignals(_heard) as stop,
        together(),
    ):
        state = _start(run, checkpoints, fresh, load_start)
        record = functools.partial(
            workdir.write_evaluation,
            data=str(training_data_path(experiment.data, Path(workdir.data))),
            split=HELDOUT,
            fingerprint=dataset.manifest["fingerprint"],
        )
        with contextlib.ExitStack() as open_things:
            logbook = None
            if is_first():
                logbook = Logbook(
                    workdir.metrics,
                    resume_step=int(state.step),
                    wandb_project=experiment.wandb_project,
                    name=experiment.name,
                )
                open_things.callback(logbook.close)
            reporter = Reporter(experiment, logbook, int(state.step), run.trainer.describe, record)
            open_things.callback(reporter.close)
            return _loop(run, state, checkpoints, reporter, meta, stop)


def _announce(run: Run) -> None:
    """Prints what will be trained."""
    puzzles = len(run.dataset.splits["train"])
    epochs = run.experiment.steps * run.experiment.batch_size / puzzles
    parameters = sum(a.size for a in jax.tree.leaves(run.shapes.weights.params))
    say(
        f"{run.experiment.name}: {parameters:,} parameters, {run.mesh.size} "
        f"{jax.devices()[0].device_kind} device{'s' * (run.mesh.size > 1)}, "
        f"{puzzles:,} base puzzles, batch {run.experiment.batch_size}, "
        f"{run.experiment.steps:,} updates ({epochs:.0f} epochs)"
    )


def _start(
    run: Run, checkpoints: Checkpoints, fresh: TrainState | None, load_start: Start
) -> TrainState:
    """Restores the newest checkpoint; without one, returns the fresh state."""
    for name in checkpoints.torn():
        say(f"skipping {name}, an incomplete checkpoint")
    while True:
        latest, words = checkpoints.go_on_from()
        for word in words:
            say(word)
        if latest is None:
            return _fresh(run, load_start) if fresh is None else fresh
        done = latest >= run.experiment.steps
        try:
            state = checkpoints.restore(latest, run.shapes, run.shardings)
        except DamagedError:  # of an older version without hashes, so found only by reading it
            if jax.process_count() > 1:
                raise
            continue
        say(f"finished already, at {latest}" if done else f"resuming from checkpoint {latest}")
        return state


def _fresh(run: Run, load_start: Start) -> TrainState:
    """Makes a new state, from `config.init_from` if given: a pack, or trained weights."""
    if pack.is_pack(run.experiment.init_from):
        state = pack.continue_from(run.experiment.init_from, run)
        say(f"resuming from update {int(state.step):,} in {run.experiment.init_from}; empty slots")
        return state
    state = run.init(jax.random.key(run.experiment.seed))
    if not run.experiment.init_from:
        return state
    trained = load_start(run.experiment.init_from, mesh=run.mesh)
    if trained.manifest.get("task") == run.dataset.manifest.get("task"):
        task_of(run.dataset.manifest).check_pair(trained.manifest, run.dataset.manifest)
    state = start_from(state, trained, run.dataset, run.experiment.optimizer.ema_scope)
    say(f"starting from checkpoint {trained.step} of {trained.source}")
    return state


def _loop(
    run: Run,
    state: TrainState,
    checkpoints: Checkpoints,
    reporter: Reporter,
    meta: Mapping[str, Any],
    stop: StopSignals,
) -> int:
    """Runs the updates; metrics are read one dispatch late, so that the device never waits."""
    config, done = run.experiment, int(state.step)
    pending: tuple[int, Any] | None = None
    agreement = Agreement(run.mesh)
    with contextlib.closing(training_batches(run, done)) as stream:
        while done < config.steps:
            batch = next(stream)
            with jax.transfer_guard("disallow"):
                state, metrics = run.step_at(done)(state, batch)
            done += config.steps_per_dispatch
            if pending:
                reporter.train(*pending)
            pending = (done, metrics)
            last, stopping = done >= config.steps, agreement.exchange(stop.count > 0)
            if done % config.checkpoint_every == 0 or last or stopping:
                # Metrics are read before the save, so that no state with a broken loss is saved.
                reporter.train(*pending)
                pending = None
                score = None
                if run.held_out_score and (done % config.eval_every == 0 or last):
                    score = reporter.held_out(done, run.held_out_score(state))
                checkpoints.save(done, state, meta, score, run.dataset.rows)
            if stopping and not last:
                say(f"stopped at {done} and checkpointed; run the same command to resume")
                return EXIT_RESTART_ME
    return EXIT_DONE


def _heard(number: int, before: int) -> None:
    if before and number == signal.SIGINT:
        raise KeyboardInterrupt
    say("stopping after this update; another Ctrl-C stops at once, without a checkpoint")
