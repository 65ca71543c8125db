"""Results of runs, read from their work directories and grouped over seeds."""

import dataclasses
import json
import statistics
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import jax
from etils import epath

from trm_jax.config.dotted import identity
from trm_jax.config.experiment import Experiment
from trm_jax.core.errors import UserError
from trm_jax.models import get_model
from trm_jax.models.flops import step_flops
from trm_jax.models.settings import ModelConfig
from trm_jax.models.weights import init_weights
from trm_jax.show.curves import Point
from trm_jax.train import logbook
from trm_jax.train.curriculum import stages
from trm_jax.train.workdir import WorkDir

HELDOUT = "heldout/exact_accuracy"
DEPTH_1 = "heldout/exact_accuracy_depth_1"
RATE = "train/steps_per_s"


@dataclasses.dataclass(frozen=True)
class Outcome:
    """Results of one run.

    Attributes:
      path: work directory of the run.
      experiment: the run's experiment.
      manifest: manifest of its dataset.
      entries: lines of metrics.jsonl.
      evaluations: evaluations in eval/ that have scores by depth (not curves and searches), by
        file name without suffix.
    """

    path: epath.Path
    experiment: Experiment
    manifest: dict[str, Any]
    entries: list[dict[str, Any]]
    evaluations: dict[str, dict[str, Any]]

    @property
    def updates(self) -> int:
        """Number of updates at the last line of metrics; 0 without metrics."""
        return max((entry["step"] for entry in self.entries), default=0)

    @property
    def finished(self) -> bool:
        """Whether the run has made all its updates."""
        return self.updates >= self.experiment.steps

    def values(self, key: str) -> dict[int, float]:
        """Values of a metric by update."""
        return {e["step"]: e[key] for e in self.entries if e.get(key) is not None}

    def last(self, key: str) -> float | None:
        """Last value of a metric; None without values."""
        return next(reversed(self.values(key).values()), None)

    def best(self) -> float | None:
        """Best held-out accuracy of all evaluations during training; None without any."""
        return max(self.values(HELDOUT).values(), default=None)

    def reached(self, accuracy: float) -> int | None:
        """Update of the first evaluation with held-out accuracy of at least `accuracy`, or None."""
        return min(
            (u for u, value in self.values(HELDOUT).items() if value >= accuracy), default=None
        )

    def flops(self, updates: int) -> int:
        """FLOPs of the first `updates` updates, see `training_flops`."""
        model = self.experiment.model_config(self.manifest)
        return training_flops(self.experiment, model, updates)

    def rate(self) -> float | None:
        """Updates per second: the median over the log points; None without any."""
        rates = self.values(RATE).values()
        return statistics.median(rates) if rates else None

    def by_depth(self) -> dict[int, float]:
        """Accuracy by depth of the latest evaluation, on held-out puzzles if there is one."""
        if not self.evaluations:
            return {}
        latest = max(
            self.evaluations.values(),
            key=lambda e: (e["split"] == "heldout", e["checkpoint"], e["steps_used"]),
        )
        return {row["depth"]: row["exact_accuracy"] for row in latest["by_depth"]}


def training_flops(experiment: Experiment, model: ModelConfig, updates: int) -> int:
    """FLOPs of the first updates of a run, by formula and with each stage's depth.

    Args:
      experiment: experiment of the run.
      model: its model; T and n are replaced by those of each stage.
      updates: number of updates; at most the run's own number is counted.
    """
    begun = stages(experiment)
    ends = [*(stage.start for stage in begun[1:]), experiment.steps]
    total = 0
    for stage, end in zip(begun, ends, strict=True):
        count = max(0, min(updates, end) - stage.start)
        deep = dataclasses.replace(model, T=stage.T, n=stage.n)
        total += count * step_flops(deep, experiment.batch_size, True, experiment.chains)
    return total


@dataclasses.dataclass(frozen=True)
class Group:
    """Runs that differ only in their seed and in settings that do not affect results.

    Attributes:
      label: config.name, with the settings that distinguish it from groups of the same name.
      outcomes: the runs, sorted by seed.
    """

    label: str
    outcomes: list[Outcome]

    @property
    def counted(self) -> list[Outcome]:
        """The runs that means are taken over: the finished ones, or all if none is finished."""
        return [o for o in self.outcomes if o.finished] or self.outcomes

    def parameters(self) -> int:
        """Number of dense parameters, without the puzzle table; computed without a device."""
        one = self.outcomes[0]
        model = get_model(one.experiment.model_config(one.manifest))
        shapes = jax.eval_shape(lambda: init_weights(jax.random.key(0), model, 1).params)
        return sum(leaf.size for leaf in jax.tree.leaves(shapes))


def points(curves: Iterable[dict[int, float]]) -> list[Point]:
    """Aggregates the curves of several seeds, at all x at which one of them has a value."""
    curves = list(curves)
    found = []
    for x in sorted({x for curve in curves for x in curve}):
        values = [curve[x] for curve in curves if x in curve]
        found.append(Point(x, statistics.fmean(values), min(values), max(values)))
    return found


def find(roots: Sequence[epath.PathLike]) -> list[Outcome]:
    """Reads the runs in work directories, or in folders of them.

    Raises:
      UserError: a folder has no run, or a run's files are damaged.
    """
    found: dict[str, Outcome] = {}
    for root in roots:
        workdirs = list(_workdirs(WorkDir(root).root))
        if not workdirs:
            raise UserError(
                f"{root} has no work directory (there is no config.json); give one that `trm "
                "train` or `trm sweep` wrote."
            )
        found |= {str(path): _outcome(WorkDir(path)) for path in workdirs}
    return list(found.values())


def _workdirs(path: epath.Path) -> Iterator[epath.Path]:
    if (path / "config.json").exists():
        yield path
    elif path.is_dir():
        for child in sorted(path.iterdir()):
            yield from _workdirs(child)


def _outcome(workdir: WorkDir) -> Outcome:
    experiment, manifest = workdir.read()
    evaluations = {}
    paths = sorted(workdir.evaluations.glob("*.json")) if workdir.evaluations.exists() else []
    for path in paths:
        try:
            record = json.loads(path.read_text())
        except ValueError as error:
            raise UserError(f"{path} is damaged ({error}); run `trm eval` again.") from error
        if record.get("by_depth"):
            evaluations[path.stem] = record
    entries = logbook.read(workdir.metrics)
    return Outcome(workdir.root, experiment, manifest, entries, evaluations)


def grouped(outcomes: Iterable[Outcome]) -> list[Group]:
    """Groups runs over their seeds; the groups are sorted by accuracy, best first."""
    same: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        settings = identity(outcome.experiment) | {"seed": None}
        same.setdefault(json.dumps(settings, sort_keys=True), []).append(outcome)
    labels = _labels(list(same.values()))
    groups = [
        Group(label, sorted(runs, key=lambda o: o.experiment.seed))
        for label, runs in zip(labels, same.values(), strict=True)
    ]
    return sorted(groups, key=lambda g: mean(o.last(HELDOUT) for o in g.counted) or 0, reverse=True)


def _labels(groups: Sequence[Sequence[Outcome]]) -> list[str]:
    """Names of the groups; those with the same name also have the settings that differ."""
    settings = [identity(runs[0].experiment) | {"seed": None} for runs in groups]
    labels = []
    for mine in settings:
        namesakes = [other for other in settings if other["name"] == mine["name"]]
        # a setting of one task alone is left out: data.task differs then
        differing = [
            key
            for key in mine
            if any(other.get(key, mine[key]) != mine[key] for other in namesakes)
        ]
        labels.append(" ".join([mine["name"], *(f"{key}={mine[key]}" for key in differing)]))
    return labels


def mean(values: Iterable[float | None]) -> float | None:
    """Mean of the values that are not None; None without any."""
    there = [value for value in values if value is not None]
    return statistics.fmean(there) if there else None
