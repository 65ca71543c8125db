"""Reports the progress of a run, on the terminal and in the logbook."""

import math
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
from tqdm import tqdm

from trm_jax.config.experiment import Experiment
from trm_jax.core.errors import NonFiniteLossError
from trm_jax.tasks.task import TASKS, Task
from trm_jax.train.logbook import Logbook


class Reporter:
    """Progress bar, lines on the terminal and entries of the logbook."""

    def __init__(
        self,
        experiment: Experiment,
        logbook: Logbook | None,
        done: int,
        describe: Callable[[dict[str, float]], str],
        keep: Callable[..., object],
    ) -> None:
        """Starts at update `done`.

        Args:
          experiment: the experiment that runs.
          logbook: logbook to write to; None on processes that do not write.
          done: number of updates done so far.
          describe: formats the means of a log point in one line.
          keep: called with the result of the last evaluation, if there is a logbook.
        """
        self._experiment, self._logbook, self._keep = experiment, logbook, keep
        self._describe = describe
        self._clock: tuple[float, int] | None = None
        self._bar = tqdm(
            total=experiment.steps,
            initial=done,
            disable=logbook is None or not sys.stderr.isatty(),
            unit="step",
        )

    def train(self, step: int, metrics: Mapping[str, jax.Array]) -> None:
        """Checks the means after update `step`, and writes them at log points.

        Raises:
          NonFiniteLossError: the loss is not finite.
        """
        values = {k: float(v) for k, v in jax.device_get(metrics).items()}
        config = self._experiment
        # The gradient is checked too: if it is not finite, the weights break before the loss.
        if not (math.isfinite(values["loss"]) and math.isfinite(values["gradient_norm"])):
            raise NonFiniteLossError(
                f"At step {step} the loss is {values['loss']} and the gradient's norm "
                f"{values['gradient_norm']}; the newest checkpoint is from before that. "
                "Try a lower config.optimizer.lr or a longer warmup."
            )
        if self._clock is None:  # the first update includes compilation, so time starts after it
            self._clock = (time.perf_counter(), step)
        self._bar.update(step - self._bar.n)
        self._bar.set_postfix_str(f"loss {values['loss']:.3f}", refresh=False)
        if step % config.log_every and step < config.steps:
            return
        rate = self._rate(step)
        if rate:  # 0 if nothing has been timed yet
            values |= {"steps_per_s": rate, "examples_per_s": rate * config.batch_size}
        self._write(step, {f"train/{k}": v for k, v in values.items()})
        line = f"step {step:>6}/{config.steps}  loss {values['loss']:.4f}  {self._describe(values)}"
        if rate:
            line += f"  {rate:.2f} steps/s  ETA {_duration((config.steps - step) / rate)}"
        say(line)

    def held_out(self, step: int, result: Mapping[str, Any]) -> float:
        """Writes an evaluation on the held-out split; returns its main score."""
        exact, score = float(result["exact_accuracy"]), float(result["score"])
        deepest, task = result["by_depth"][-1], TASKS.get(self._experiment.data.task)
        values = {k: v for k, v in deepest.items() if k != "depth" and v is not None}
        values |= {"exact_accuracy_depth_1": result["by_depth"][0]["exact_accuracy"]}
        values |= {k: v for k, v in result.items() if k.startswith("pass@")}
        self._write(step, {f"heldout/{k}": v for k, v in values.items()})
        if step >= self._experiment.steps and self._logbook:
            self._keep(result, checkpoint=step)
        say(
            f"step {step:>6}  held-out puzzles: exact {exact:6.1%}  cells "
            f"{deepest['cell_accuracy']:6.1%}{_more(task, result)}  ({result['examples']} puzzles, "
            f"{result['steps_used']} supervision steps, {result['seconds']:.1f} s)"
        )
        self._clock = (time.perf_counter(), step)  # the rate is that of training only
        return score

    def _write(self, step: int, values: dict[str, float]) -> None:
        if self._logbook:
            self._logbook.write(step, values)

    def _rate(self, step: int) -> float:
        """Updates per second since the last log point or evaluation; restarts the clock."""
        now = time.perf_counter()
        then, from_step = self._clock or (now, step)
        self._clock = (now, step)
        return (step - from_step) / max(now - then, 1e-9)

    def close(self) -> None:
        """Closes the progress bar."""
        self._bar.close()


def say(line: str) -> None:
    """Prints a line on process 0, above the progress bar."""
    if jax.process_index() == 0:
        tqdm.write(line)


def _more(task: Task, result: Mapping[str, Any]) -> str:
    """Formats the task's own scores."""
    named = {key: name for key, name in task.scores.items() if key in result}
    return "".join(f"  {name} {result[key]:6.1%}" for key, name in named.items())


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
