"""What scores the answers of an evaluation, where a task has more to say than right or wrong."""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from trm_jax.data.views import Grids, Numbers


class Judge(Protocol):
    """Scores the answers of one evaluation beyond exactness; it is given them batch by batch."""

    def see(
        self,
        places: Numbers,
        questions: Grids,
        answers: NDArray[np.uint8],
        halt_logits: NDArray[np.floating],
    ) -> None:
        """Takes one batch.

        Args:
          places: int64 [b], positions of the questions in the evaluation.
          questions: uint8 [b, S].
          answers: uint8 [N, b, S], after each supervision step.
          halt_logits: float [N, b].
        """

    def result(self) -> dict[str, Any]:
        """The scores, as plain data; under `by_depth` each is a list over the N steps."""
