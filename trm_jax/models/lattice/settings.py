"""The settings that only a lattice model has."""

import dataclasses
from typing import ClassVar

from trm_jax.core.errors import UserError
from trm_jax.core.settings import Settings, setting


@dataclasses.dataclass(frozen=True)
class LatticeSettings(Settings):
    """Losses, training states and thresholds of lattice deduction; defaults are the paper's."""

    GROUP: ClassVar[str] = "config.model.lattice"

    dropout: float = setting(0.1, "Dropout rate of a block's outputs in training.", low=0, below=1)
    positive_weight: float = setting(
        4.0, "Weight in the candidate loss of candidates to keep.", low=0, high=1e6
    )
    negative_weight: float = setting(
        0.5, "Weight in the candidate loss of candidates to eliminate.", low=0, high=1e6
    )
    digit_weight: float = setting(
        1.0, "Weight of the digits' cross-entropy relative to the candidate loss.", low=0, high=1e6
    )
    conflict_weight: float = setting(
        0.1, "Weight of the conflict loss relative to the candidate loss.", low=0, high=1e6
    )
    conflict_token: bool = setting(
        True,
        "Whether a separate token and head predict conflicts; without it, a conflict is a cell "
        "without candidates.",
    )
    last_loop_only: bool = setting(
        False, "Whether only the last of the n loops is trained on, instead of the mean of all."
    )
    eliminate_below: float = setting(
        0.1, "Probability below which a candidate is eliminated.", above=0, below=1
    )
    conflict_above: float = setting(
        0.5, "Conflict probability above which a state counts as a conflict.", above=0, high=1
    )
    temperature: float = setting(
        1.5,
        "Softmax temperature for drawing a guess from the candidates.",
        low=1e-3,
        high=1e3,
    )
    max_rounds: int = setting(
        100,
        "Max number of rounds of a state in the training pool before a new puzzle replaces it.",
        low=1,
        high=10**6,
    )
    filled_share: float = setting(
        0.55,
        "Fraction of new training states in which some empty cells are filled in correctly.",
        low=0,
        high=1,
    )
    mistaken_share: float = setting(
        0.25,
        "Fraction of new training states in which some cells are filled in, part of them wrongly.",
        low=0,
        high=1,
    )
    search_dropout: float = setting(
        0.05, "Dropout rate in search, which makes chains differ.", low=0, below=1
    )
    search_conflict_above: float = setting(
        0.6,
        "Conflict probability above which a state counts as a conflict in search.",
        above=0,
        high=1,
    )

    def __post_init__(self) -> None:
        """Refuses fractions whose sum exceeds 1."""
        super().__post_init__()
        if self.filled_share + self.mistaken_share > 1:
            raise UserError(
                f"{self.GROUP}.filled_share {self.filled_share} and mistaken_share "
                f"{self.mistaken_share} add up to more than 1; lower one of them."
            )
