"""The settings of a model and of its loss."""

import dataclasses
from typing import ClassVar, Self

from trm_jax.core.settings import Settings, group, setting
from trm_jax.models.lattice.settings import LatticeSettings

MAX_VOCAB = 256
"""Answers are kept in a byte."""

MOST_WIDTH, MOST_BLOCKS, MOST_DEPTH = 32_768, 256, 1000
"""Larger models of this kind nobody has; tracing them would take hours."""

WRITTEN_OUT = 1024
"""Blocks that a compiled program may have, one after the other."""

PLAIN, FUSED = "plain", "fused"
"""Values of `ModelSettings.kernels`."""


@dataclasses.dataclass(frozen=True)
class ModelSettings(Settings):
    """Everything that fixes a network and its recursion, but for what the puzzles decide.

    What each `kind` and each `mixer` can do with them, `models.check_model` says.
    """

    GROUP: ClassVar[str] = "config.model"

    kind: str = setting(
        "trm",
        "Which model: trm, trm_continue, trm_two_networks, trm_one_step, trm_single_z, "
        "trm_multi_z, hrm or transformer (`models/variants.py`), or lattice (`models/lattice`).",
    )
    width: int = setting(512, "D, width of a token's state.", low=1, high=MOST_WIDTH)
    heads: int = setting(
        8,
        "Heads of the mixer attention; `width` is a multiple of twice this number.",
        low=1,
        high=4096,
    )
    layers: int = setting(2, "Blocks of a network.", low=1, high=MOST_BLOCKS)
    y_layers: int = setting(
        0,
        "Blocks of the network that updates y, in models where it has one of its own; 0 means "
        "`layers`.",
        low=0,
        high=MOST_BLOCKS,
    )
    T: int = setting(
        3,
        "Recursions per supervision step, all but the last without gradient; the transformer uses "
        "neither T nor n.",
        low=1,
        high=MOST_DEPTH,
    )
    n: int = setting(6, "Updates of the latent state in each recursion.", low=1, high=MOST_DEPTH)
    N: int = setting(16, "Supervision steps of an example at most.", low=1, high=4096)
    mixer: str = setting(
        "mlp",
        "What a block does over the tokens, a name in `models/mixers`: mlp, attention, digits, or "
        "a plugin's.",
    )
    positions: str = setting(
        "none",
        "How tokens know their positions; each mixer takes some of these.",
        choices=("none", "learned", "rotary"),
    )
    prefix_tokens: int = setting(
        16, "P, tokens that hold the puzzle-table row; 0 for no table at all.", low=0, high=4096
    )
    row_width: int = setting(
        0, "E, width of a puzzle-table row; 0 means `width`.", low=0, high=2**20
    )
    expansion: float = setting(
        4.0,
        "A SwiGLU's inner width is two thirds of this times its outer one, rounded up to 256s.",
        low=0.01,
        high=64,
    )
    gate: str = setting(
        "silu",
        "Gate of the SwiGLUs: silu as published, or norm, which normalises the product.",
        choices=("silu", "norm"),
    )
    halt_exploration: float = setting(
        0.1, "Share of slots that draw a random minimum of steps in training.", low=0, high=1
    )
    dtype: str = setting(
        "bfloat16",
        "Type of the activations; parameters and optimizer are float32 in any case.",
        choices=("bfloat16", "float32", "float64"),
    )
    remat: str = setting(
        "none",
        "What the backward pass computes again instead of storing it: none of it, the inside of "
        "each block, or of a whole network. Use it with unroll=False: the CPU compiler undoes it "
        "in unrolled code.",
        choices=("none", "block", "net"),
    )
    unroll: bool = setting(
        True, "Whether latent updates are written out one after the other, not as a loop."
    )
    attention: str = setting(
        "auto",
        "How attention is computed, the result being the same: plain stores the scores of all "
        "pairs of tokens, cudnn (GPU), flash (TPU) and chunked never do; auto, and one that the "
        "devices do not have, chooses by devices and the memory that scores would take.",
        choices=("auto", PLAIN, "cudnn", "flash", "chunked"),
    )
    kernels: str = setting(
        PLAIN,
        "Of SwiGLUs, rotary positions and lattice blocks, the result being the same: plain leaves "
        "them to the compiler; fused takes, on GPUs, kernels that move less memory and store less.",
        choices=(PLAIN, FUSED),
    )
    start: str = setting(
        "fixed",
        "States of a new example: one fixed vector each, or drawn at random for each example.",
        choices=("fixed", "random"),
    )
    damping: float = setting(
        0.0,
        "Share of a state that an update leaves as it was (`recursion.settle`).",
        low=0,
        below=1,
    )
    noise: float = setting(
        0.0,
        "Standard deviation of the noise on a state at each update in training.",
        low=0,
        high=1e3,
    )

    lattice: LatticeSettings = group(LatticeSettings, "What only a lattice model has.")

    def depth(self, network: str) -> int:
        """Number of blocks of a network, by its name in `trm_jax.models.variants`."""
        return (self.y_layers if network == "y_network" else 0) or self.layers

    @property
    def table_width(self) -> int:
        """E; 0 where there is no puzzle table."""
        return (self.row_width or self.width) if self.prefix_tokens else 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelConfig(ModelSettings):
    """A model for certain puzzles: its settings, and what the data set decides."""

    vocab: int = setting(dataclasses.MISSING, "V, number of token ids.", low=1, high=MAX_VOCAB)
    cells: int = setting(dataclasses.MISSING, "S, cells of a puzzle.", low=1, high=2**20)

    @classmethod
    def of(cls, settings: ModelSettings, vocab: int, cells: int) -> Self:
        """Settings for puzzles of `vocab` token ids and so many cells."""
        values = {name: getattr(settings, name) for name, _, _ in ModelSettings.rules()}
        return cls(vocab=vocab, cells=cells, **values)

    @property
    def tokens(self) -> int:
        """L = P + S."""
        return self.prefix_tokens + self.cells


@dataclasses.dataclass(frozen=True)
class LossConfig(Settings):
    """What a supervision step is trained for."""

    GROUP: ClassVar[str] = "config.loss"

    kind: str = setting(
        "stablemax",
        "Token loss: the cross-entropy of stable-max (as published) or of softmax.",
        choices=("stablemax", "softmax"),
    )
    label_smoothing: float = setting(
        0.0, "Share of a token's target that is spread evenly over the vocabulary.", low=0, below=1
    )
    halt_weight: float = setting(
        0.5,
        "Weight of the halting loss, and of the continue loss, beside the token loss.",
        low=0,
        high=1e6,
    )
    step_decay: float = setting(
        1.0,
        "Weight of each supervision step of an example relative to the one before "
        "(`losses.step_weights`).",
        above=0,
        high=100,
    )
