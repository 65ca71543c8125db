"""The settings of a model and of its loss."""

import dataclasses
from typing import ClassVar, Self

from trm_jax.core.settings import Settings, group, setting
from trm_jax.models.lattice.settings import LatticeSettings

MAX_VOCAB = 256
"""Max number of token ids; answers are stored in one byte per cell."""

MAX_WIDTH, MAX_BLOCKS, MAX_DEPTH = 32_768, 256, 1000
"""Upper limits far above any useful model; larger ones would take hours to trace."""

WRITTEN_OUT = 1024
"""Max number of unrolled blocks in a compiled program."""

PLAIN, FUSED = "plain", "fused"
"""Values of `ModelSettings.kernels`."""


@dataclasses.dataclass(frozen=True)
class ModelSettings(Settings):
    """All settings of a network and its recursion that do not depend on the puzzles.

    Each `kind` and `mixer` accepts only some of the values, see `models.check_model`.
    """

    GROUP: ClassVar[str] = "config.model"

    kind: str = setting(
        "trm",
        "Kind of model: trm, trm_continue, trm_two_networks, trm_one_step, trm_single_z, "
        "trm_multi_z, hrm or transformer (`models/variants.py`), or lattice (`models/lattice`).",
    )
    width: int = setting(512, "D, width of a token's state.", low=1, high=MAX_WIDTH)
    heads: int = setting(
        8,
        "Number of attention heads; `width` must be a multiple of twice this number, for lattice "
        "of four times.",
        low=1,
        high=4096,
    )
    layers: int = setting(2, "Number of blocks of a network.", low=1, high=MAX_BLOCKS)
    y_layers: int = setting(
        0,
        "Number of blocks of the network that updates y, in models with a separate one; 0 for "
        "`layers`.",
        low=0,
        high=MAX_BLOCKS,
    )
    T: int = setting(
        3,
        "Number of recursions per supervision step, of which only the last has a gradient; unused "
        "by the transformer.",
        low=1,
        high=MAX_DEPTH,
    )
    n: int = setting(
        6,
        "Number of latent updates per recursion; for lattice, of loops per round.",
        low=1,
        high=MAX_DEPTH,
    )
    N: int = setting(
        16,
        "Max number of supervision steps of an example; for lattice, of rounds.",
        low=1,
        high=4096,
    )
    mixer: str = setting(
        "mlp",
        "Name of the layer that mixes tokens in a block: mlp, attention or digits "
        "(`models/mixers`), or a plugin's.",
    )
    positions: str = setting(
        "none",
        "Position encoding of the tokens; each mixer supports some of these.",
        choices=("none", "learned", "rotary"),
    )
    prefix_tokens: int = setting(
        16, "P, number of tokens for the puzzle-table row; 0 for no puzzle table.", low=0, high=4096
    )
    row_width: int = setting(0, "E, width of a puzzle-table row; 0 for `width`.", low=0, high=2**20)
    expansion: float = setting(
        4.0,
        "Ratio that sets a SwiGLU's inner width: 2/3 of it times the outer width, rounded up to a "
        "multiple of 256.",
        low=0.01,
        high=64,
    )
    gate: str = setting(
        "silu",
        "Gate of the SwiGLUs: silu, as published, or norm, which normalises the product.",
        choices=("silu", "norm"),
    )
    halt_exploration: float = setting(
        0.1,
        "Probability that a slot must take a random min number of steps in training.",
        low=0,
        high=1,
    )
    dtype: str = setting(
        "bfloat16",
        "Dtype of the activations; parameters and optimizer state are always float32.",
        choices=("bfloat16", "float32", "float64"),
    )
    remat: str = setting(
        "none",
        "What the backward pass recomputes instead of storing it: nothing, each block, or each "
        "whole network; set unroll to False with it, since the CPU compiler undoes it in unrolled "
        "code.",
        choices=("none", "block", "net"),
    )
    unroll: bool = setting(
        True, "Whether latent updates are unrolled in the compiled program instead of a loop."
    )
    attention: str = setting(
        "auto",
        "Implementation of attention, all with the same result: plain stores the scores of all "
        "pairs of tokens; cudnn (GPU), flash (TPU) and chunked do not; auto chooses by device and "
        "the scores' size, as does a value that the devices do not support.",
        choices=("auto", PLAIN, "cudnn", "flash", "chunked"),
    )
    kernels: str = setting(
        PLAIN,
        "Implementation of SwiGLUs, rotary positions and lattice blocks, with the same result: "
        "plain leaves them to the compiler; fused uses GPU kernels that read and store less.",
        choices=(PLAIN, FUSED),
    )
    start: str = setting(
        "fixed",
        "Initial states of an example: fixed vectors, or drawn at random for each example.",
        choices=("fixed", "random"),
    )
    damping: float = setting(
        0.0,
        "Fraction of the old state that each update keeps (`recursion.settle`).",
        low=0,
        below=1,
    )
    noise: float = setting(
        0.0,
        "Standard deviation of the noise added to the states at each update in training.",
        low=0,
        high=1e3,
    )

    lattice: LatticeSettings = group(LatticeSettings, "Settings of lattice models only.")

    def depth(self, network: str) -> int:
        """Number of blocks of a network, by its name in `trm_jax.models.variants`."""
        return (self.y_layers if network == "y_network" else 0) or self.layers

    @property
    def table_width(self) -> int:
        """Width of a puzzle-table row, E; 0 without a puzzle table."""
        return (self.row_width or self.width) if self.prefix_tokens else 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelConfig(ModelSettings):
    """Config of a model for puzzles of a certain shape: its settings, vocabulary and cells."""

    vocab: int = setting(dataclasses.MISSING, "V, number of token ids.", low=1, high=MAX_VOCAB)
    cells: int = setting(dataclasses.MISSING, "S, number of cells of a puzzle.", low=1, high=2**20)

    @classmethod
    def of(cls, settings: ModelSettings, vocab: int, cells: int) -> Self:
        """Makes the config for puzzles with `vocab` token ids and `cells` cells."""
        values = {name: getattr(settings, name) for name, _, _ in ModelSettings.rules()}
        return cls(vocab=vocab, cells=cells, **values)

    @property
    def tokens(self) -> int:
        """Number of tokens, L = P + S."""
        return self.prefix_tokens + self.cells


@dataclasses.dataclass(frozen=True)
class LossConfig(Settings):
    """The loss of a supervision step."""

    GROUP: ClassVar[str] = "config.loss"

    kind: str = setting(
        "stablemax",
        "Token loss: cross-entropy of stable-max, as published, or of softmax.",
        choices=("stablemax", "softmax"),
    )
    label_smoothing: float = setting(
        0.0,
        "Fraction of a token's target distribution that is uniform over the vocabulary.",
        low=0,
        below=1,
    )
    halt_weight: float = setting(
        0.5,
        "Weight of the halting loss and of the continue loss relative to the token loss.",
        low=0,
        high=1e6,
    )
    step_decay: float = setting(
        1.0,
        "Weight of a supervision step of an example relative to the step before "
        "(`losses.step_weights`).",
        above=0,
        high=100,
    )
