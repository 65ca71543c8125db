"""Maze scores of an evaluation: fractions of answers that are valid and shortest paths."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from trm_jax.data.views import Grids, Numbers
from trm_jax.tasks.maze import score


class MazeJudge:
    """Fractions of valid and of shortest paths after each step, see `task.Judge`."""

    def __init__(self, side: int) -> None:
        """Makes a judge for mazes of `side` rows."""
        self._side = side
        self._valid: list[NDArray[np.bool_]] = []
        self._shortest: list[NDArray[np.bool_]] = []

    def see(
        self,
        places: Numbers,
        questions: Grids,
        answers: NDArray[np.uint8],
        halt_logits: NDArray[np.floating],
    ) -> None:
        """See `task.Judge`."""
        del places, halt_logits
        depths = [score.score(questions, answer, self._side) for answer in answers]
        self._valid.append(np.stack([valid for valid, _ in depths]))
        self._shortest.append(np.stack([shortest for _, shortest in depths]))

    def result(self) -> dict[str, Any]:
        """See `task.Judge`: `valid_path` and `shortest_path`, fractions of mazes."""
        valid, shortest = (
            np.concatenate(parts, axis=1).mean(axis=1).tolist()
            for parts in (self._valid, self._shortest)
        )
        by_depth = [
            {"valid_path": v, "shortest_path": s} for v, s in zip(valid, shortest, strict=True)
        ]
        return {**by_depth[-1], "by_depth": by_depth}
