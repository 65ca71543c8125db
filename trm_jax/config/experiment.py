"""An experiment: everything that one run is asked to be, checked."""

import dataclasses
import itertools
from collections.abc import Mapping
from typing import Any, ClassVar, Self

from trm_jax.core.errors import UserError
from trm_jax.core.mesh import ROW_MULTIPLE
from trm_jax.core.settings import Settings, flat_names, group, setting, shown
from trm_jax.models import MIXERS, check_model, check_training
from trm_jax.models.settings import MOST_DEPTH, LossConfig, ModelConfig, ModelSettings
from trm_jax.tasks.settings import DataConfig, data_names
from trm_jax.tasks.sources import RENAMED, renamed
from trm_jax.tasks.task import TASKS

MOST_SLOTS, MOST_RATE, MOST_WEIGHT = 2**20, 1e9, 1e6
"""Far above all that is of use; larger values are slips of the pen."""


@dataclasses.dataclass(frozen=True)
class OptimizerConfig(Settings):
    """The optimizer of the dense parameters, which are all but the puzzle table."""

    GROUP: ClassVar[str] = "config.optimizer"

    name: str = setting(
        "adam_atan2",
        "Which optimizer; muon is Muon for the matrices of the blocks and AdamW for all else.",
        choices=("adam_atan2", "adamw", "muon"),
    )
    lr: float = setting(
        1e-4, "Peak learning rate; under muon that of AdamW.", above=0, high=MOST_RATE
    )
    warmup: int = setting(2000, "Updates in which the learning rate rises linearly.", low=0)
    lr_min_ratio: float = setting(
        1.0,
        "The learning rate falls by a cosine to this share of `lr`; 1.0 keeps it constant.",
        low=0,
        high=1,
    )
    weight_decay: float = setting(
        1.0,
        "Decoupled weight decay on all dense parameters; under muon on those of AdamW.",
        low=0,
        high=MOST_WEIGHT,
    )
    b1: float = setting(0.9, "Decay of the optimizer's first moment.", low=0, below=1)
    b2: float = setting(0.95, "Decay of the optimizer's second moment.", low=0, below=1)
    ema: float = setting(
        0.999, "Decay of the moving average that is evaluated; 0 averages nothing.", low=0, below=1
    )
    ema_scope: str = setting(
        "dense",
        "What is averaged: dense parameters as published, or all, the puzzle table too.",
        choices=("dense", "all"),
    )
    ema_start: int = setting(
        0, "Updates before averaging begins; until then the average is the weights.", low=0
    )
    muon_lr: float = setting(
        0.02,
        "Peak learning rate of the matrices under muon, on the schedule of `lr`.",
        above=0,
        high=MOST_RATE,
    )
    muon_momentum: float = setting(
        0.95, "Nesterov momentum of the matrices under muon.", low=0, below=1
    )
    muon_weight_decay: float = setting(
        0.005, "Decoupled weight decay on the matrices under muon.", low=0, high=MOST_WEIGHT
    )
    clip: float = setting(
        0.0,
        "Largest norm of the gradient of all dense parameters; 0 clips nothing.",
        low=0,
        high=1e9,
    )


@dataclasses.dataclass(frozen=True)
class TableConfig(Settings):
    """The puzzle table and its sparse sign-SGD."""

    GROUP: ClassVar[str] = "config.table"

    rows: int = setting(0, "R, rows of the table; 0 takes as many as the data set has.", low=0)
    lr: float = setting(
        1e-4,
        "Peak learning rate of the rows, on the schedule of `config.optimizer.lr`.",
        low=0,
        high=MOST_RATE,
    )
    weight_decay: float = setting(
        1.0,
        "Decoupled weight decay on the rows that a batch has looked up.",
        low=0,
        high=MOST_WEIGHT,
    )


@dataclasses.dataclass(frozen=True)
class MeshConfig(Settings):
    """How devices share the work; see `core/mesh.py`."""

    GROUP: ClassVar[str] = "config.mesh"

    data: int = setting(0, "Devices that the batch is split over; 0 takes all.", low=0, high=2**20)
    table: int = setting(
        0,
        "Devices that a large puzzle table is split over; 0 takes as many as can share it.",
        low=0,
        high=ROW_MULTIPLE,
    )


@dataclasses.dataclass(frozen=True)
class Experiment(Settings):
    """One run: how long it trains, on how much at once, and what it writes down on the way.

    What the data set decides, `model_config` adds.
    """

    GROUP: ClassVar[str] = "config"

    name: str = setting("trm", "Name of the run in tables and logs.")
    seed: int = setting(
        0,
        "Seed of the weights, the halting exploration and the data stream.",
        low=0,
        high=2**31 - 1,
    )
    batch_size: int = setting(
        768, "Slots of a batch, over all devices and processes.", low=1, high=MOST_SLOTS
    )
    accumulate: int = setting(
        1,
        "Parts in which each device works through its slots, to need less memory.",
        low=1,
        high=MOST_SLOTS,
    )
    steps: int = setting(
        65_104, "Optimizer updates of the whole run, one supervision step each.", low=1, high=10**9
    )
    steps_per_dispatch: int = setting(
        1, "Updates in one call of the compiled program.", low=1, high=10_000
    )
    log_every: int = setting(50, "Updates between two lines of metrics.", low=1)
    eval_every: int = setting(
        2000, "Updates between two evaluations on the held-out slice; 0 for none.", low=0
    )
    checkpoint_every: int = setting(1000, "Updates between two checkpoints.", low=1)
    eval_batch_size: int = setting(
        768, "Puzzles in one call of the compiled evaluation.", low=1, high=MOST_SLOTS
    )
    eval_copies: int = setting(
        0,
        "Where copies vote (ARC): copies of each held-out test, besides the original.",
        low=0,
        high=10**6,
    )
    init_from: str = setting(
        "",
        "Work directory whose weights a fresh run starts from, rows of the puzzle table found by "
        "their names; or a file of `trm pack`, which it goes on from; empty for none.",
    )
    wandb_project: str = setting("", "Project at wandb to mirror metrics to; empty for none.")
    plugins: tuple[str, ...] = setting(
        (), "Python files or modules that bring tasks or mixers (`core/registry.py`)."
    )
    chains: int = setting(
        1,
        "K, chains of states that an example has in training; the best is learned from.",
        low=1,
        high=1024,
    )
    curriculum: tuple[tuple[float, int, int], ...] = setting(
        (),
        "Stages of training, each (share of the updates at which it begins, T, n), the first at 0; "
        "empty trains at the depth of config.model throughout.",
    )
    model: ModelSettings = group(ModelSettings, "The network and its recursion.")
    loss: LossConfig = group(LossConfig, "What a supervision step is trained for.")
    optimizer: OptimizerConfig = group(OptimizerConfig, "Optimizer of the dense parameters.")
    table: TableConfig = group(TableConfig, "The puzzle table.")
    data: DataConfig = group(DataConfig, "Where the puzzles come from.")
    mesh: MeshConfig = group(MeshConfig, "How devices share the work.")

    def __post_init__(self) -> None:
        """Refuses settings that do not go together, before anything is built."""
        super().__post_init__()
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
        check_stages(self.curriculum)
        check_model(self.model)
        check_training(self.model, self.chains, self.curriculum, self.loss)
        task = TASKS.get(self.data.task)
        if MIXERS.get(self.model.mixer).alike_symbols and not task.alike_symbols:
            raise UserError(
                f"config.model.mixer is {self.model.mixer!r}, for puzzles whose symbols are all "
                f"alike, and those of config.data.task {self.data.task!r} are not; choose another."
            )

    @classmethod
    def all_names(cls) -> list[str]:
        """Dotted names of all settings, those of every task included."""
        own = [name for name in flat_names(cls) if not name.startswith(f"{DataConfig.GROUP}.")]
        return own + data_names()

    def model_config(self, manifest: Mapping[str, Any]) -> ModelConfig:
        """The model for a data set, from its manifest's `vocab` and `cells`."""
        return ModelConfig.of(self.model, manifest["vocab"], manifest["cells"])

    def change(self, settings: Mapping[str, Any]) -> Self:
        """The same with some settings replaced, by their dotted names as in "model.remat"."""
        fields: dict[str, Any] = {}
        for key, value in settings.items():
            head, _, rest = key.partition(".")
            part = fields.get(head, getattr(self, head))
            fields[head] = _replaced(part, rest, value) if rest else value
        return dataclasses.replace(self, **fields)


def _replaced(part: Any, name: str, value: Any) -> Any:
    """A group of settings with one replaced, by its dotted name."""
    head, _, rest = name.partition(".")
    new = _replaced(getattr(part, head), rest, value) if rest else value
    return dataclasses.replace(part, **{head: new})


def check_stages(curriculum: tuple[tuple[float, int, int], ...]) -> None:
    """Refuses what is no curriculum, see `Experiment`.

    Raises:
      UserError: shares do not rise from 0 to below 1, or a depth is not positive.
    """
    shares = [share for share, _, _ in curriculum]
    rising = all(a < b for a, b in itertools.pairwise([*shares, 1.0]))
    deep = all(min(T, n) > 0 and max(T, n) <= MOST_DEPTH for _, T, n in curriculum)
    if curriculum and not (shares[0] == 0 and rising and deep):
        raise UserError(
            f"config.curriculum is {shown(curriculum)}; give stages (share, T, n), T and n from "
            f"1 to {MOST_DEPTH}, shares rising from 0 to below 1, as in ((0.0, 1, 2), (0.3, 2, 4), "
            "(0.6, 3, 6))."
        )


def from_dict(config: Mapping[str, Any]) -> Experiment:
    """Checks a config and fills in defaults.

    Args:
      config: nested plain data, as from `ConfigDict.to_dict()` or a config.json of any version.

    Raises:
      UserError: an unknown key, a value of the wrong kind or out of range.
    """
    if not isinstance(config, Mapping):
        return Experiment.read(config)
    try:
        return Experiment.read(renamed(config, RENAMED), Experiment.all_names())
    except RecursionError as error:
        raise UserError("config is nested too deeply; groups lie four deep at most.") from error
