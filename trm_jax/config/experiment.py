"""The experiment: all settings of one run, checked."""

import dataclasses
import itertools
from collections.abc import Mapping
from typing import Any, ClassVar, Self

from trm_jax.core.errors import UserError
from trm_jax.core.mesh import ROW_MULTIPLE
from trm_jax.core.settings import Settings, flat_names, group, setting, shown
from trm_jax.models import MIXERS, check_model, check_training
from trm_jax.models.settings import MAX_DEPTH, LossConfig, ModelConfig, ModelSettings
from trm_jax.tasks.settings import DataConfig, data_names
from trm_jax.tasks.sources import RENAMED, renamed
from trm_jax.tasks.task import TASKS

MAX_SLOTS, MAX_RATE, MAX_WEIGHT = 2**20, 1e9, 1e6
"""Upper limits far above any useful value, to catch typing errors."""


@dataclasses.dataclass(frozen=True)
class OptimizerConfig(Settings):
    """The optimizer of the dense parameters, that is all except the puzzle table."""

    GROUP: ClassVar[str] = "config.optimizer"

    name: str = setting(
        "adam_atan2",
        "Optimizer; muon applies Muon to the matrices of the blocks and AdamW to the rest.",
        choices=("adam_atan2", "adamw", "muon"),
    )
    lr: float = setting(
        1e-4, "Peak learning rate; with muon, that of AdamW.", above=0, high=MAX_RATE
    )
    warmup: int = setting(2000, "Number of updates of the linear learning-rate warm-up.", low=0)
    lr_min_ratio: float = setting(
        1.0,
        "Final fraction of `lr`, reached by a cosine decay; 1.0 keeps the rate constant.",
        low=0,
        high=1,
    )
    weight_decay: float = setting(
        1.0,
        "Decoupled weight decay on all dense parameters; with muon, on those of AdamW.",
        low=0,
        high=MAX_WEIGHT,
    )
    b1: float = setting(0.9, "Decay rate of the first moment.", low=0, below=1)
    b2: float = setting(0.95, "Decay rate of the second moment.", low=0, below=1)
    ema: float = setting(
        0.999,
        "Decay rate of the weights' moving average, which is evaluated; 0 disables it.",
        low=0,
        below=1,
    )
    ema_scope: str = setting(
        "dense",
        "Weights to average: the dense parameters, as published, or all with the puzzle table.",
        choices=("dense", "all"),
    )
    ema_start: int = setting(
        0,
        "Number of updates before averaging starts; until then the average equals the weights.",
        low=0,
    )
    muon_lr: float = setting(
        0.02,
        "Peak learning rate of the matrices with muon, on the schedule of `lr`.",
        above=0,
        high=MAX_RATE,
    )
    muon_momentum: float = setting(
        0.95, "Nesterov momentum of the matrices with muon.", low=0, below=1
    )
    muon_weight_decay: float = setting(
        0.005, "Decoupled weight decay on the matrices with muon.", low=0, high=MAX_WEIGHT
    )
    clip: float = setting(
        0.0,
        "Max global norm of the dense parameters' gradient; 0 disables clipping.",
        low=0,
        high=1e9,
    )


@dataclasses.dataclass(frozen=True)
class TableConfig(Settings):
    """The puzzle table and its optimizer, sparse sign-SGD."""

    GROUP: ClassVar[str] = "config.table"

    rows: int = setting(
        0, "R, number of rows of the table; 0 for as many as the dataset has.", low=0
    )
    lr: float = setting(
        1e-4,
        "Peak learning rate of the rows, on the schedule of `config.optimizer.lr`.",
        low=0,
        high=MAX_RATE,
    )
    weight_decay: float = setting(
        1.0,
        "Decoupled weight decay on the rows that a batch looks up.",
        low=0,
        high=MAX_WEIGHT,
    )


@dataclasses.dataclass(frozen=True)
class MeshConfig(Settings):
    """How devices share the work, see `core/mesh.py`."""

    GROUP: ClassVar[str] = "config.mesh"

    data: int = setting(
        0, "Number of devices that the batch is split over; 0 for all.", low=0, high=2**20
    )
    table: int = setting(
        0,
        "Number of devices that a large puzzle table is split over; 0 for as many as possible.",
        low=0,
        high=ROW_MULTIPLE,
    )


@dataclasses.dataclass(frozen=True)
class Experiment(Settings):
    """One run: its model, data and optimizer, its length, and how often it logs and saves."""

    GROUP: ClassVar[str] = "config"

    name: str = setting("trm", "Name of the run in tables and logs.")
    seed: int = setting(
        0,
        "Seed of the weights, the halting exploration and the data stream.",
        low=0,
        high=2**31 - 1,
    )
    batch_size: int = setting(
        768, "Batch slots per update, over all devices and processes.", low=1, high=MAX_SLOTS
    )
    accumulate: int = setting(
        1,
        "Number of microbatches that each device splits its slots into, to save memory.",
        low=1,
        high=MAX_SLOTS,
    )
    steps: int = setting(
        65_104,
        "Number of optimizer updates of the run; each is one supervision step.",
        low=1,
        high=10**9,
    )
    steps_per_dispatch: int = setting(
        1, "Number of updates per call of the compiled program.", low=1, high=10_000
    )
    log_every: int = setting(50, "Number of updates between two lines of metrics.", low=1)
    eval_every: int = setting(
        2000, "Number of updates between two evaluations on the held-out split; 0 for none.", low=0
    )
    checkpoint_every: int = setting(1000, "Number of updates between two checkpoints.", low=1)
    eval_batch_size: int = setting(
        768, "Number of puzzles per call of the compiled evaluation.", low=1, high=MAX_SLOTS
    )
    eval_copies: int = setting(
        0,
        "Number of augmented copies of a held-out test that vote with the original (ARC only).",
        low=0,
        high=10**6,
    )
    init_from: str = setting(
        "",
        "Released model or work directory whose weights a new run starts from, puzzle-table rows "
        "matched by name, or a file of `trm pack`, which the run resumes; empty for none.",
    )
    wandb_project: str = setting(
        "", "Weights & Biases project that metrics are sent to; empty for none."
    )
    plugins: tuple[str, ...] = setting(
        (), "Python files or modules that define tasks or mixers (`core/registry.py`)."
    )
    chains: int = setting(
        1,
        "K, number of chains of latents per example in training; only the best is trained on.",
        low=1,
        high=1024,
    )
    curriculum: tuple[tuple[float, int, int], ...] = setting(
        (),
        "Stages of training, each (fraction of the updates at which it starts, T, n), the first at "
        "0; empty trains with config.model.T and config.model.n throughout.",
    )
    model: ModelSettings = group(ModelSettings, "The network and its recursion.")
    loss: LossConfig = group(LossConfig, "The loss of a supervision step.")
    optimizer: OptimizerConfig = group(OptimizerConfig, "Optimizer of the dense parameters.")
    table: TableConfig = group(TableConfig, "The puzzle table.")
    data: DataConfig = group(DataConfig, "Where the puzzles come from.")
    mesh: MeshConfig = group(MeshConfig, "How devices share the work.")

    def __post_init__(self) -> None:
        """Refuses settings that are inconsistent with each other."""
        super().__post_init__()
        for key in ("steps", "log_every", "eval_every", "checkpoint_every"):
            if getattr(self, key) % self.steps_per_dispatch:
                raise UserError(
                    f"config.{key} is {getattr(self, key)}, which is not a multiple of "
                    f"config.steps_per_dispatch {self.steps_per_dispatch}; change one of them."
                )
        if self.eval_every % self.checkpoint_every:
            raise UserError(
                f"config.eval_every is {self.eval_every}, which is not a multiple of "
                f"config.checkpoint_every {self.checkpoint_every}, and each evaluated state is "
                "saved; change one of them."
            )
        check_stages(self.curriculum)
        check_model(self.model)
        check_training(self.model, self.chains, self.curriculum, self.loss)
        task = TASKS.get(self.data.task)
        if MIXERS.get(self.model.mixer).alike_symbols and not task.alike_symbols:
            raise UserError(
                f"config.model.mixer is {self.model.mixer!r}, which needs a task with "
                f"interchangeable symbols, and config.data.task is {self.data.task!r}; choose "
                "another mixer."
            )

    @classmethod
    def all_names(cls) -> list[str]:
        """Dotted names of all settings, including those of every task."""
        own = [name for name in flat_names(cls) if not name.startswith(f"{DataConfig.GROUP}.")]
        return own + data_names()

    def model_config(self, manifest: Mapping[str, Any]) -> ModelConfig:
        """Config of the model for a dataset, from its manifest's `vocab` and `cells`."""
        return ModelConfig.of(self.model, manifest["vocab"], manifest["cells"])

    def change(self, settings: Mapping[str, Any]) -> Self:
        """Returns a copy with some settings replaced, by dotted names such as "model.remat"."""
        fields: dict[str, Any] = {}
        for key, value in settings.items():
            head, _, rest = key.partition(".")
            part = fields.get(head, getattr(self, head))
            fields[head] = _replaced(part, rest, value) if rest else value
        return dataclasses.replace(self, **fields)


def _replaced(part: Any, name: str, value: Any) -> Any:
    """Copies a group of settings with one of them replaced, by its dotted name."""
    head, _, rest = name.partition(".")
    new = _replaced(getattr(part, head), rest, value) if rest else value
    return dataclasses.replace(part, **{head: new})


def check_stages(curriculum: tuple[tuple[float, int, int], ...]) -> None:
    """Checks a curriculum, see `Experiment`.

    Raises:
      UserError: fractions do not rise from 0 to below 1, or a depth is out of range.
    """
    shares = [share for share, _, _ in curriculum]
    rising = all(a < b for a, b in itertools.pairwise([*shares, 1.0]))
    deep = all(min(T, n) > 0 and max(T, n) <= MAX_DEPTH for _, T, n in curriculum)
    if curriculum and not (shares[0] == 0 and rising and deep):
        raise UserError(
            f"config.curriculum is {shown(curriculum)}; give stages (fraction, T, n), T and n from "
            f"1 to {MAX_DEPTH}, fractions rising from 0 to below 1, as in ((0.0, 1, 2), "
            "(0.3, 2, 4), (0.6, 3, 6))."
        )


def from_dict(config: Mapping[str, Any]) -> Experiment:
    """Makes an experiment from a config; settings that are missing take their defaults.

    Args:
      config: nested plain data, as from `ConfigDict.to_dict()` or a config.json of any version.

    Raises:
      UserError: a key is unknown, or a value has the wrong type or is out of range.
    """
    if not isinstance(config, Mapping):
        return Experiment.read(config)
    try:
        return Experiment.read(renamed(config, RENAMED), Experiment.all_names())
    except RecursionError as error:
        raise UserError("config is nested too deeply; groups are at most four deep.") from error
