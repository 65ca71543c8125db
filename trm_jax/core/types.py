"""The legend: the dimension letters, and the records that flow through the house.

The only single letters in the code base:

    B batch slots          S puzzle cells            P prefix tokens
    L = P + S tokens       D width                   V vocabulary
    E puzzle-row width     R puzzle-table rows
    T outer recursions     n latent updates per recursion
    N supervision steps at most                      K parallel rollouts or chains

`y` is the answer state, `z` the latent state, `x` the embedded question, as in the paper
("Less is More: Recursive Reasoning with Tiny Networks", arXiv 2510.04871).
"""

import dataclasses
import math

import jax
from flax import struct

from trm_jax.core.errors import UserError
from trm_jax.core.grids import FIRST_DIGIT

IGNORE = -100
"""Label of a cell that is not counted, neither in the loss nor in a score."""

Latents = tuple[jax.Array, ...]
"""The states that a model carries from one supervision step to the next; TRM: (y, z). The heads
read the first."""


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """Everything that fixes a network and its recursion, and nothing else.

    Attributes:
      vocab: V, number of token ids, 0 being the padding.
      cells: S, cells of a puzzle.
      kind: name in the registry, `trm_jax.models.variants`.
      width: D.
      heads: attention heads; `width` is a multiple of twice this number.
      layers: blocks in the network.
      y_layers: blocks in the network that updates y, in models where it has one of its own; 0
        means `layers`.
      T: outer recursions per supervision step, all but the last without gradient; the
        transformer has none, and uses neither T nor n.
      n: latent updates per recursion.
      N: supervision steps at most.
      mixer: what a block does over the tokens: "mlp", "attention", or "digits": the MLP again, of a
        network that treats all digits of a Sudoku alike (`layers.DigitBlock`), its D divided into
        one field for each digit.
      positions: "none", "learned", or "rotary" (attention only).
      prefix_tokens: P, tokens that hold the puzzle-table row; 0 for no table at all.
      row_width: E, width of a puzzle-table row; 0 means D.
      expansion: SwiGLU expansion before the two-thirds rule.
      gate: of the SwiGLUs: "silu", or "norm", which normalises (`layers.gated`).
      halt_exploration: share of slots that draw a random minimum of steps in training.
      dtype: of activations; parameters and optimizer are float32 whatever it is.
      remat: what the backward pass computes again rather than stores: "none", "block" or "net".
        Use it with `unroll` off: the CPU compiler undoes it in unrolled code.
      unroll: write the latent updates out one after the other instead of as a loop.
      start: states of a new example: "fixed", one vector each, or "random", drawn anew each time.
      damping: share of a state that an update leaves as it was; see `recursion.settle`.
      noise: deviation of what is added to a state at each update in training.
    """

    vocab: int
    cells: int
    kind: str = "trm"
    width: int = 512
    heads: int = 8
    layers: int = 2
    y_layers: int = 0
    T: int = 3
    n: int = 6
    N: int = 16
    mixer: str = "mlp"
    positions: str = "none"
    prefix_tokens: int = 16
    row_width: int = 0
    expansion: float = 4.0
    gate: str = "silu"
    halt_exploration: float = 0.1
    dtype: str = "bfloat16"
    remat: str = "none"
    unroll: bool = True
    start: str = "fixed"
    damping: float = 0.0
    noise: float = 0.0

    def __post_init__(self) -> None:
        choices = {
            "mixer": ("mlp", "attention", "digits"),
            "positions": ("none", "learned", "rotary"),
            "dtype": ("bfloat16", "float32", "float64"),
            "remat": ("none", "block", "net"),
            "gate": ("silu", "norm"),
            "start": ("fixed", "random"),
        }
        for key, allowed in choices.items():
            if getattr(self, key) not in allowed:
                raise UserError(
                    f"config.model.{key} is {getattr(self, key)!r}; choose one of {allowed}."
                )
        for key in ("vocab", "cells", "width", "heads", "layers", "T", "n", "N"):
            if getattr(self, key) < 1:
                raise UserError(
                    f"config.model.{key} is {getattr(self, key)}; it must be 1 or more."
                )
        if self.mixer == "attention" and self.width % (2 * self.heads):
            raise UserError(
                f"config.model.width {self.width} is no multiple of twice config.model.heads "
                f"({self.heads}); rotary positions need heads of even width."
            )
        if self.mixer == "digits":
            self._check_digits()
        if self.mixer == "mlp" and self.positions == "rotary":
            raise UserError(
                "config.model.positions is 'rotary', which only attention can use; "
                "choose 'none' or 'learned' for the mlp mixer."
            )
        for key in ("y_layers", "prefix_tokens", "row_width"):
            if getattr(self, key) < 0:
                raise UserError(
                    f"config.model.{key} is {getattr(self, key)}; it must be 0 or more."
                )
        if self.prefix_tokens and self.table_width > self.prefix_tokens * self.width:
            raise UserError(
                f"A puzzle row of width {self.table_width} does not fit into "
                f"{self.prefix_tokens} prefix tokens of width {self.width}; "
                "raise config.model.prefix_tokens."
            )
        if self.dtype == "float64" and jax.dtypes.canonicalize_dtype("float64") != "float64":
            raise UserError(
                "config.model.dtype is 'float64' and JAX runs without it; choose 'float32', or "
                "set JAX_ENABLE_X64=1."
            )
        if self.vocab > 256:
            raise UserError(f"The vocabulary has {self.vocab} tokens; answers are kept in a byte.")
        if not 0 < self.expansion < math.inf:
            raise UserError(f"config.model.expansion is {self.expansion}; it must be above 0.")
        if not 0 <= self.damping < 1:
            raise UserError(f"config.model.damping is {self.damping}; it must be in [0, 1).")
        if not 0 <= self.noise < math.inf:
            raise UserError(f"config.model.noise is {self.noise}; it must be 0 or more.")
        if not 0 <= self.halt_exploration <= 1:
            raise UserError(
                f"config.model.halt_exploration is {self.halt_exploration}; it is a probability."
            )

    def _check_digits(self) -> None:
        """Refuses what is not the same for every digit."""
        for key, value in {"positions": "none", "prefix_tokens": 0}.items():
            if getattr(self, key) != value:
                raise UserError(
                    f"config.model.{key} is {getattr(self, key)!r}, and the digits mixer, whose "
                    f"digits are all alike, takes {value!r} alone; set it so."
                )
        # A vocabulary of one token stands for that of puzzles which are not there yet.
        if self.vocab > 1 and (self.fields < 2 or self.width % self.fields):
            raise UserError(
                f"config.model.width {self.width} cannot be divided into a field for each of "
                f"{self.fields} digits, as the digits mixer needs; choose a multiple."
            )

    def depth(self, network: str) -> int:
        """Blocks of a network by its name in `trm_jax.models.variants`."""
        return (self.y_layers if network == "y_network" else 0) or self.layers

    @property
    def tokens(self) -> int:
        """L = P + S."""
        return self.prefix_tokens + self.cells

    @property
    def fields(self) -> int:
        """Fields of a token's state with the same weights: the digits, or just one."""
        return self.vocab - FIRST_DIGIT if self.mixer == "digits" else 1

    @property
    def field_width(self) -> int:
        """Width of one of them."""
        return self.width // self.fields

    @property
    def table_width(self) -> int:
        """E, 0 where there is no puzzle table."""
        return (self.row_width or self.width) if self.prefix_tokens else 0


class Batch(struct.PyTreeNode):
    """Questions with their answers.

    Attributes:
      inputs: int32 [B, S], token ids of the question.
      labels: int32 [B, S], token ids of the answer, IGNORE where a cell is not counted.
      ids: int32 [B], puzzle-table row of each example.
    """

    inputs: jax.Array
    labels: jax.Array
    ids: jax.Array


class Output(struct.PyTreeNode):
    """What one supervision step says.

    Attributes:
      logits: [B, S, V] in the activations' dtype.
      halt_logits: float32 [B]; positive means "my answer is right, stop".
      continue_logits: float32 [B]; read only by the continue loss.
    """

    logits: jax.Array
    halt_logits: jax.Array
    continue_logits: jax.Array


class Carry(struct.PyTreeNode):
    """What each batch slot takes along from one optimizer update to the next.

    Attributes:
      latents: the model's states, each [B, L, D]; with several chains (see `trm_jax.train.chains`) all
        but the first [B, K, L, D].
      steps: int32 [B], supervision steps this example has had.
      halted: bool [B]; a halted slot takes a new example at the next step.
      batch: the example that each slot is busy with.
    """

    latents: Latents
    steps: jax.Array
    halted: jax.Array
    batch: Batch


@dataclasses.dataclass(frozen=True)
class LossConfig:
    """What a supervision step is trained for.

    Attributes:
      kind: of the token loss, the cross-entropy of "stablemax" (as published) or "softmax".
      label_smoothing: share of a token's target that is spread evenly over the vocabulary.
      halt_weight: of the halting loss, and of the continue loss, beside the token loss.
      step_decay: each supervision step of an example weighs so many times the one before; see
        `losses.step_weights`.
    """

    kind: str = "stablemax"
    label_smoothing: float = 0.0
    halt_weight: float = 0.5
    step_decay: float = 1.0

    def __post_init__(self) -> None:
        if self.kind not in ("stablemax", "softmax"):
            raise UserError(f"config.loss.kind is {self.kind!r}; choose 'stablemax' or 'softmax'.")
        if not 0 <= self.label_smoothing < 1:
            raise UserError(
                f"config.loss.label_smoothing is {self.label_smoothing}; it must be in [0, 1)."
            )
        if not 0 <= self.halt_weight < math.inf:
            raise UserError(f"config.loss.halt_weight is {self.halt_weight}; it must be 0 or more.")
        if not 0 < self.step_decay < math.inf:
            raise UserError(f"config.loss.step_decay is {self.step_decay}; it must be above 0.")


@dataclasses.dataclass(frozen=True)
class OptimizerConfig:
    """Optimizer of the dense parameters.

    Attributes:
      name: "adam_atan2", "adamw", or "muon": Muon for the matrices of the blocks and AdamW for
        all else.
      lr: peak learning rate; under "muon" AdamW's.
      warmup: updates of linear warm-up.
      lr_min_ratio: the cosine ends at this share of `lr`; 1.0 keeps the rate constant.
      weight_decay: decoupled, on all dense parameters; under "muon" on AdamW's.
      b1: decay of the first moment.
      b2: decay of the second moment.
      ema: decay of the moving average that is evaluated; 0 averages nothing.
      ema_scope: what is averaged: "dense" (as published: the puzzle table is not) or "all".
      ema_start: updates before averaging begins; until then the average is the weights.
      muon_lr: peak learning rate of Muon's matrices, on the same schedule.
      muon_momentum: Nesterov momentum of them.
      muon_weight_decay: decoupled, on them.
      clip: largest norm of the gradient of all dense parameters; 0 clips nothing.
    """

    name: str = "adam_atan2"
    lr: float = 1e-4
    warmup: int = 2000
    lr_min_ratio: float = 1.0
    weight_decay: float = 1.0
    b1: float = 0.9
    b2: float = 0.95
    ema: float = 0.999
    ema_scope: str = "dense"
    ema_start: int = 0
    muon_lr: float = 0.02
    muon_momentum: float = 0.95
    muon_weight_decay: float = 0.005
    clip: float = 0.0

    def __post_init__(self) -> None:
        if self.name not in ("adam_atan2", "adamw", "muon"):
            raise UserError(
                f"config.optimizer.name is {self.name!r}; choose 'adam_atan2', 'adamw' or 'muon'."
            )
        if self.ema_scope not in ("dense", "all"):
            raise UserError(
                f"config.optimizer.ema_scope is {self.ema_scope!r}; choose 'dense' or 'all'."
            )
        for key in ("lr", "muon_lr"):
            if not 0 < getattr(self, key) < math.inf:
                raise UserError(
                    f"config.optimizer.{key} is {getattr(self, key)}; it must be above 0."
                )
        for key in ("ema_start", "muon_weight_decay", "clip"):
            if not 0 <= getattr(self, key) < math.inf:
                raise UserError(
                    f"config.optimizer.{key} is {getattr(self, key)}; it must be 0 or more."
                )
        if self.warmup < 0 or not 0 <= self.weight_decay < math.inf:
            raise UserError(
                "config.optimizer.warmup and weight_decay must be 0 or more; they are "
                f"{self.warmup} and {self.weight_decay}."
            )
        if not 0 <= self.lr_min_ratio <= 1:
            raise UserError(
                f"config.optimizer.lr_min_ratio is {self.lr_min_ratio}; it must be in 0..1."
            )
        for key in ("b1", "b2", "ema", "muon_momentum"):
            if not 0 <= getattr(self, key) < 1:
                raise UserError(
                    f"config.optimizer.{key} is {getattr(self, key)}; it must be in [0, 1)."
                )


@dataclasses.dataclass(frozen=True)
class TableConfig:
    """The puzzle table and its sparse sign-SGD.

    Attributes:
      rows: R; 0 takes as many as the data set has.
      lr: peak learning rate, on the dense optimizer's schedule.
      weight_decay: decoupled, on touched rows.
    """

    rows: int = 0
    lr: float = 1e-4
    weight_decay: float = 1.0

    def __post_init__(self) -> None:
        if self.rows < 0 or not (0 <= self.lr < math.inf and 0 <= self.weight_decay < math.inf):
            raise UserError(
                "config.table.rows, lr and weight_decay must be 0 or more; they are "
                f"{self.rows}, {self.lr} and {self.weight_decay}."
            )
