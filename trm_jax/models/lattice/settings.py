"""The settings that only a lattice model has."""

import dataclasses
from typing import ClassVar

from trm_jax.core.errors import UserError
from trm_jax.core.settings import Settings, setting


@dataclasses.dataclass(frozen=True)
class LatticeSettings(Settings):
    """Loss, states and thresholds of lattice deduction; the defaults are those of its paper."""

    GROUP: ClassVar[str] = "config.model.lattice"

    dropout: float = setting(
        0.1, "Share of a block's outputs set to zero in training.", low=0, below=1
    )
    positive_weight: float = setting(
        4.0, "Weight of candidates to be kept in the candidate loss.", low=0, high=1e6
    )
    negative_weight: float = setting(
        0.5, "Weight of candidates to be eliminated in the candidate loss.", low=0, high=1e6
    )
    digit_weight: float = setting(
        1.0, "Weight of the cross-entropy of the digits beside the candidate loss.", low=0, high=1e6
    )
    conflict_weight: float = setting(
        0.1, "Weight of the conflict loss beside the candidate loss.", low=0, high=1e6
    )
    conflict_token: bool = setting(
        True,
        "Whether a token of its own reads conflicts; without it only a cell without candidates is "
        "one.",
    )
    last_loop_only: bool = setting(
        False, "Whether the last of the n loops alone is trained on, not the mean of all."
    )
    eliminate_below: float = setting(
        0.1, "A candidate whose probability is below this is eliminated.", above=0, below=1
    )
    conflict_above: float = setting(
        0.5, "A conflict probability above this is a conflict.", above=0, high=1
    )
    temperature: float = setting(
        1.5,
        "Temperature of the softmax over candidates that a guess is drawn from.",
        low=1e-3,
        high=1e3,
    )
    max_rounds: int = setting(
        100,
        "Rounds after which a state of the training pool gives way to a new puzzle.",
        low=1,
        high=10**6,
    )
    filled_share: float = setting(
        0.55,
        "Share of new training states in which some empty cells are filled in correctly.",
        low=0,
        high=1,
    )
    mistaken_share: float = setting(
        0.25,
        "Share of new training states in which some cells are filled in, a part of them wrongly.",
        low=0,
        high=1,
    )
    search_dropout: float = setting(
        0.05, "Dropout in search, which makes chains differ.", low=0, below=1
    )
    search_conflict_above: float = setting(
        0.6, "The same as `conflict_above`, in search.", above=0, high=1
    )

    def __post_init__(self) -> None:
        """Refuses shares that add up to more than all."""
        super().__post_init__()
        if self.filled_share + self.mistaken_share > 1:
            raise UserError(
                f"{self.GROUP}.filled_share {self.filled_share} and mistaken_share "
                f"{self.mistaken_share} are more than 1 together; lower one of them."
            )
