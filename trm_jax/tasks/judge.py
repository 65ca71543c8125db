"""The interface for scores of a task besides exact accuracy."""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from trm_jax.data.views import Grids, Numbers


class Judge(Protocol):
    """Computes additional scores of one evaluation, from its answers batch by batch."""

    def see(
        self,
        places: Numbers,
        questions: Grids,
        answers: NDArray[np.uint8],
        halt_logits: NDArray[np.floating],
    ) -> None:
        """Adds one batch.

        Args:
          places: int64 [b], indices of the questions in the evaluation.
          questions: uint8 [b, S], tokens.
          answers: uint8 [N, b, S], tokens after each supervision step.
          halt_logits: float [N, b], halting logits after each step.
        """

    def result(self) -> dict[str, Any]:
        """The scores as plain data; `by_depth` is a list with the scores of each of N steps."""
