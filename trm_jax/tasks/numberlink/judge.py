"""The additional score of Numberlink: the share of joined pairs."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from trm_jax.core.symmetries import FIRST_DIGIT
from trm_jax.data.views import Grids, Numbers
from trm_jax.tasks.numberlink.numberlink import Numberlink


class NumberlinkJudge:
    """Computes the share of pairs joined according to the rules, after each step; see `Judge`."""

    def __init__(self, puzzle: Numberlink) -> None:
        """Stores the size of the puzzles."""
        self._puzzle = puzzle
        self._joined: NDArray[np.int64] = np.zeros(1, np.int64)
        self._pairs = 0

    def see(
        self,
        places: Numbers,
        questions: Grids,
        answers: NDArray[np.uint8],
        halt_logits: NDArray[np.floating],
    ) -> None:
        """See `task.Judge`."""
        del places, halt_logits
        self._joined = self._joined + np.asarray([self._count(questions, a) for a in answers])
        self._pairs += int((questions >= FIRST_DIGIT).sum()) // 2

    def result(self) -> dict[str, Any]:
        """See `task.Judge`: `joined_pairs`, the share of all pairs of all puzzles."""
        by_depth = [{"joined_pairs": float(each) / self._pairs} for each in self._joined]
        return {**by_depth[-1], "by_depth": by_depth}

    def _count(self, questions: Grids, answers: Grids) -> int:
        """Number of letters of questions [B, S] that a valid path joins in answers [B, S]."""
        ends = questions >= FIRST_DIGIT
        kept = ~ends | (questions == answers)
        good = kept & (self._puzzle.alike(answers) == 2 - ends)
        good &= self._puzzle.reached(answers, ends & kept)
        joined = 0
        for token in range(FIRST_DIGIT, self._puzzle.vocab):
            asked = questions == token
            own = (answers == token) | asked
            joined += int((asked.any(1) & (good | ~own).all(1)).sum())
        return joined
