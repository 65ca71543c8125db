"""What came of runs: read from their work directories, and grouped over their seeds."""

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
    """One run.

    Attributes:
      path: its work directory.
      experiment: what was asked for.
      manifest: of its data set.
      entries: lines of metrics.jsonl.
      evaluations: files of eval/ by their names without the suffix, of those that have scores by
        depth: not of curves and searches.
    """

    path: epath.Path
    experiment: Experiment
    manifest: dict[str, Any]
    entries: list[dict[str, Any]]
    evaluations: dict[str, dict[str, Any]]

    @property
    def updates(self) -> int:
        """Of the last line of metrics; 0 without any."""
        return max((entry["step"] for entry in self.entries), default=0)

    @property
    def finished(self) -> bool:
        """Whether it has all its updates."""
        return self.updates >= self.experiment.steps

    def values(self, key: str) -> dict[int, float]:
        """A metric by update."""
        return {e["step"]: e[key] for e in self.entries if e.get(key) is not None}

    def last(self, key: str) -> float | None:
        """A metric's last value, None without any."""
        return next(reversed(self.values(key).values()), None)

    def best(self) -> float | None:
        """The best held-out accuracy of all its evaluations."""
        return max(self.values(HELDOUT).values(), default=None)

    def reached(self, accuracy: float) -> int | None:
        """The update of the first evaluation with at least so accurate held-out answers."""
        return min(
            (u for u, value in self.values(HELDOUT).items() if value >= accuracy), default=None
        )

    def flops(self, updates: int) -> int:
        """What its first so many updates cost, see `training_flops`."""
        model = self.experiment.model_config(self.manifest)
        return training_flops(self.experiment, model, updates)

    def rate(self) -> float | None:
        """Updates per second: the median of the log points."""
        rates = self.values(RATE).values()
        return statistics.median(rates) if rates else None

    def by_depth(self) -> dict[int, float]:
        """Accuracy by depth of its latest evaluation on held-out puzzles, else of any."""
        if not self.evaluations:
            return {}
        latest = max(
            self.evaluations.values(),
            key=lambda e: (e["split"] == "heldout", e["checkpoint"], e["steps_used"]),
        )
        return {row["depth"]: row["exact_accuracy"] for row in latest["by_depth"]}


def training_flops(experiment: Experiment, model: ModelConfig, updates: int) -> int:
    """What the first so many updates of a run cost, by formula and at each stage's depth.

    Args:
      experiment: the run's.
      model: its model, at whatever depth.
      updates: those after the run's last one are not counted.
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
    """Runs that differ in nothing but the seed and the free settings.

    Attributes:
      label: config.name, with what tells it from a namesake.
      outcomes: its runs, by seed.
    """

    label: str
    outcomes: list[Outcome]

    @property
    def counted(self) -> list[Outcome]:
        """The runs that means are over: the finished ones, all where none is."""
        return [o for o in self.outcomes if o.finished] or self.outcomes

    def parameters(self) -> int:
        """Dense parameters, the puzzle table not among them; counted without any device."""
        one = self.outcomes[0]
        model = get_model(one.experiment.model_config(one.manifest))
        shapes = jax.eval_shape(lambda: init_weights(jax.random.key(0), model, 1).params)
        return sum(leaf.size for leaf in jax.tree.leaves(shapes))


def points(curves: Iterable[dict[int, float]]) -> list[Point]:
    """Curves over seeds, put together wherever any of them has a value."""
    curves = list(curves)
    found = []
    for x in sorted({x for curve in curves for x in curve}):
        values = [curve[x] for curve in curves if x in curve]
        found.append(Point(x, statistics.fmean(values), min(values), max(values)))
    return found


def find(roots: Sequence[epath.PathLike]) -> list[Outcome]:
    """The runs of work directories, or of folders of them.

    Raises:
      UserError: one of them holds no run, or a damaged one.
    """
    found: dict[str, Outcome] = {}
    for root in roots:
        workdirs = list(_workdirs(WorkDir(root).root))
        if not workdirs:
            raise UserError(
                f"{root} holds no work directory (none has a config.json); "
                "give one that `trm train` or `trm sweep` wrote."
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
    """Groups of runs, the most accurate first."""
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
    """Their names, and of namesakes the settings in which they differ."""
    settings = [identity(runs[0].experiment) | {"seed": None} for runs in groups]
    labels = []
    for mine in settings:
        namesakes = [other for other in settings if other["name"] == mine["name"]]
        differing = [key for key in mine if any(other[key] != mine[key] for other in namesakes)]
        labels.append(" ".join([mine["name"], *(f"{key}={mine[key]}" for key in differing)]))
    return labels


def mean(values: Iterable[float | None]) -> float | None:
    """The mean of those that are there, None where none is."""
    there = [value for value in values if value is not None]
    return statistics.fmean(there) if there else None
