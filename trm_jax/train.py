"""The training loop and nothing else."""

import contextlib
import dataclasses
import functools
import math
import signal
import sys
import time
from collections.abc import Callable, Generator, Mapping
from typing import Any

import jax
from jax.sharding import Mesh
from tqdm import tqdm

from trm_jax.checkpoint import Checkpoints
from trm_jax.config import Experiment
from trm_jax.data.format import Dataset
from trm_jax.data.pipeline import batches
from trm_jax.data.sources import open_training_data
from trm_jax.errors import EXIT_DONE, EXIT_RESTART_ME, NonFiniteLossError
from trm_jax.evaluate import evaluate, make_scorer
from trm_jax.logbook import Logbook
from trm_jax.mesh import check_divides, make_mesh, over_slots, to_global
from trm_jax.models import TRM, check_kind, get_model
from trm_jax.optim import dense_optimizer
from trm_jax.state import TrainState, init_state, state_shardings
from trm_jax.step import METRICS, TrainStep, make_train_step, update
from trm_jax.trained import table_rows
from trm_jax.types import Batch
from trm_jax.workdir import WorkDir

HELDOUT = "heldout"


@dataclasses.dataclass(frozen=True)
class Run:
    """Everything that stays the same while a run goes on."""

    experiment: Experiment
    dataset: Dataset
    model: TRM
    mesh: Mesh
    shapes: TrainState
    shardings: TrainState
    init: Callable[[jax.Array], TrainState]
    step: TrainStep
    held_out_score: Callable[[TrainState], dict[str, Any]] | None


def prepare(experiment: Experiment, dataset: Dataset) -> Run:
    """Builds the compiled programs of a run; nothing is computed yet."""
    mesh = make_mesh(experiment.mesh.data)
    model = get_model(experiment.model_config(dataset.manifest))
    optimizer = dense_optimizer(experiment.optimizer, experiment.steps)
    init = functools.partial(
        init_state,
        model=model,
        optimizer=optimizer,
        table_rows=table_rows(experiment, dataset.manifest),
        batch_size=experiment.batch_size,
        ema_scope=experiment.optimizer.ema_scope,
        metric_names=METRICS,
    )
    shapes = jax.eval_shape(init, jax.random.key(0))
    one = functools.partial(
        update,
        model=model,
        optimizer=optimizer,
        optimizer_config=experiment.optimizer,
        table_config=experiment.table,
        total_steps=experiment.steps,
        log_every=experiment.log_every,
    )
    shardings = state_shardings(mesh, shapes)
    return Run(
        experiment=experiment,
        dataset=dataset,
        model=model,
        mesh=mesh,
        shapes=shapes,
        shardings=shardings,
        init=jax.jit(init, out_shardings=shardings),
        step=make_train_step(one, mesh, shapes),
        held_out_score=_held_out_score(experiment, dataset, model, mesh),
    )


def _held_out_score(
    experiment: Experiment, dataset: Dataset, model: TRM, mesh: Mesh
) -> Callable[[TrainState], dict[str, Any]] | None:
    if not experiment.eval_every or HELDOUT not in dataset.splits:
        return None
    scorer = make_scorer(model, mesh, model.config.N)
    size = experiment.eval_batch_size
    return lambda state: evaluate(scorer, state.eval_weights(), dataset, HELDOUT, size, mesh)


def train(experiment: Experiment, root: str) -> int:
    """Trains, or goes on training, the experiment of a work directory.

    Args:
      experiment: what to run; a work directory that holds another one is refused.
      root: the work directory. The same one and the same experiment resume bit for bit.

    Returns:
      The exit code: done, or "checkpointed, start me again" after SIGTERM or SIGINT.

    Raises:
      UserError: something in the configuration, the data or the work directory is wrong.
      NonFiniteLossError: the loss is not finite; the newest checkpoint is from before that.
    """
    workdir = WorkDir(root)
    # What can be refused is refused before anything is built.
    check_divides(make_mesh(experiment.mesh.data), experiment.batch_size)
    check_kind(experiment.model["kind"])
    dataset = open_training_data(experiment.data, workdir.data)
    run = prepare(experiment, dataset)
    meta = workdir.claim(experiment, dataset.manifest)
    with Checkpoints(workdir.checkpoints) as checkpoints, StopSignal() as stop:
        state = _start(run, checkpoints)
        logbook = Logbook(
            workdir.metrics,
            resume_step=int(state.step),
            wandb_project=experiment.wandb_project,
            name=experiment.name,
        )
        try:
            return _loop(run, state, checkpoints, logbook, meta, stop)
        finally:
            logbook.close()


def _start(run: Run, checkpoints: Checkpoints) -> TrainState:
    """The newest checkpoint, else a fresh state."""
    puzzles = len(run.dataset.splits["train"])
    epochs = run.experiment.steps * run.experiment.batch_size / puzzles
    parameters = sum(a.size for a in jax.tree.leaves(run.shapes.weights.params))
    say(
        f"{run.experiment.name}: {parameters:,} parameters, {run.mesh.size} "
        f"{jax.devices()[0].device_kind} device{'s' * (run.mesh.size > 1)}, "
        f"{puzzles:,} base puzzles, batch {run.experiment.batch_size}, "
        f"{run.experiment.steps:,} updates ({epochs:.0f} epochs)"
    )
    latest = checkpoints.latest_step()
    if latest is None:
        return run.init(jax.random.key(run.experiment.seed))
    done = latest >= run.experiment.steps
    say(f"finished already, at {latest}" if done else f"going on from checkpoint {latest}")
    return checkpoints.restore(latest, run.shapes, run.shardings)


def _loop(
    run: Run,
    state: TrainState,
    checkpoints: Checkpoints,
    logbook: Logbook,
    meta: Mapping[str, Any],
    stop: "StopSignal",
) -> int:
    """Dispatches updates; metrics are read one dispatch late, so that the device never waits."""
    config, done = run.experiment, int(state.step)
    reporter = Reporter(run, logbook, done)
    pending: tuple[int, Any] | None = None
    with contextlib.closing(_stream(run, done)) as stream, contextlib.closing(reporter):
        while done < config.steps:
            with jax.transfer_guard("disallow"):
                state, metrics = run.step(state, next(stream))
            done += config.steps_per_dispatch
            if pending:
                reporter.train(*pending)
            pending = (done, metrics)
            last, stopping = done >= config.steps, stop.requested  # read once: it may change
            if done % config.checkpoint_every == 0 or last or stopping:
                # Looked at before the save, so that no state with a broken loss is ever kept.
                reporter.train(*pending)
                pending = None
                score = None
                if run.held_out_score and (done % config.eval_every == 0 or last):
                    score = reporter.held_out(done, run.held_out_score(state))
                checkpoints.save(done, state, meta, score)
            if stopping and not last:
                say(f"stopped at {done} and checkpointed; the same command goes on from there")
                return EXIT_RESTART_ME
    return EXIT_DONE


def _stream(run: Run, done: int) -> Generator[Batch]:
    """Global batches [k, B, ...] from update `done` on."""
    config = run.experiment
    local = batches(
        run.dataset,
        "train",
        batch_size=config.batch_size,
        seed=config.seed,
        copies=config.data.copies,
        per_item=config.steps_per_dispatch,
        shard=jax.process_index(),
        shards=jax.process_count(),
        start=done // config.steps_per_dispatch,
    )
    sharding = over_slots(run.mesh, axis=1)
    try:
        for arrays in local:
            yield to_global(Batch(**arrays), sharding)
    finally:
        local.close()


class Reporter:
    """Tells people and the logbook how the run goes."""

    def __init__(self, run: Run, logbook: Logbook, done: int) -> None:
        """Starts at update `done`."""
        self._run, self._logbook = run, logbook
        self._clock: tuple[float, int] | None = None
        self._bar = tqdm(
            total=run.experiment.steps, initial=done, disable=not sys.stderr.isatty(), unit="step"
        )

    def train(self, step: int, metrics: Mapping[str, jax.Array]) -> None:
        """Looks at the means after `step`, and writes them down at log points.

        Raises:
          NonFiniteLossError: the loss is not finite.
        """
        values = {k: float(v) for k, v in jax.device_get(metrics).items()}
        config = self._run.experiment
        # The gradient too: were it not finite, the weights would be broken before the loss is.
        if not (math.isfinite(values["loss"]) and math.isfinite(values["gradient_norm"])):
            raise NonFiniteLossError(
                f"At step {step} the loss is {values['loss']} and the gradient's norm "
                f"{values['gradient_norm']}; the newest checkpoint is from before that. "
                "Try a lower config.optimizer.lr or a longer warmup."
            )
        if self._clock is None:  # the first update has just been compiled: time the others
            self._clock = (time.perf_counter(), step)
        self._bar.update(step - self._bar.n)
        self._bar.set_postfix_str(
            f"loss {values['loss']:.3f} exact {values['all/exact_accuracy']:.1%}", refresh=False
        )
        if step % config.log_every and step < config.steps:
            return
        rate = self._rate(step)
        values["steps_per_s"] = rate
        values["examples_per_s"] = rate * config.batch_size
        self._logbook.write(step, {f"train/{k}": v for k, v in values.items()})
        say(
            f"step {step:>6}/{config.steps}  loss {values['loss']:.4f}  "
            f"exact {values['all/exact_accuracy']:6.1%} (halted rows "
            f"{values['halted/exact_accuracy']:6.1%})  cells {values['all/cell_accuracy']:6.1%}  "
            f"{rate:.2f} steps/s  ETA {_duration((config.steps - step) / max(rate, 1e-9))}"
        )

    def held_out(self, step: int, result: Mapping[str, Any]) -> float:
        """Writes down an evaluation on the held-out slice; returns its exact accuracy."""
        exact = float(result["exact_accuracy"])
        deepest = result["by_depth"][-1]
        values = {k: v for k, v in deepest.items() if k != "depth" and v is not None}
        values |= {"exact_accuracy_depth_1": result["by_depth"][0]["exact_accuracy"]}
        self._logbook.write(step, {f"heldout/{k}": v for k, v in values.items()})
        say(
            f"step {step:>6}  held-out puzzles: exact {exact:6.1%}  cells "
            f"{deepest['cell_accuracy']:6.1%}  ({result['examples']} puzzles, "
            f"{result['steps_used']} supervision steps, {result['seconds']:.1f} s)"
        )
        self._clock = (time.perf_counter(), step)  # it counts training only
        return exact

    def _rate(self, step: int) -> float:
        """Updates per second since the last log point or evaluation; starts the clock anew."""
        now = time.perf_counter()
        then, from_step = self._clock or (now, step)
        self._clock = (now, step)
        return (step - from_step) / max(now - then, 1e-9)

    def close(self) -> None:
        """Ends the progress bar."""
        self._bar.close()


class StopSignal:
    """SIGTERM and SIGINT ask for a checkpoint and an orderly end; a second SIGINT interrupts."""

    requested = False

    def __enter__(self) -> "StopSignal":
        """Takes the signals over."""
        self._old = {s: signal.signal(s, self._ask) for s in (signal.SIGTERM, signal.SIGINT)}
        return self

    def __exit__(self, *_: object) -> None:
        """Gives the signals back."""
        for number, handler in self._old.items():
            signal.signal(number, handler)

    def _ask(self, number: int, _: object) -> None:
        if self.requested and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.requested = True
        say("stopping after this update; once more Ctrl-C ends at once, without a checkpoint")


def say(line: str) -> None:
    """Prints a line on process 0, above the progress bar."""
    if jax.process_index() == 0:
        tqdm.write(line)


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
