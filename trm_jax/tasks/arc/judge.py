"""The evaluation of ARC: predictions for all copies of a test vote on its answer."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from trm_jax.data.questions import Questions
from trm_jax.data.views import Grids, Numbers
from trm_jax.tasks.arc import vote
from trm_jax.tasks.arc.canvas import crop, sizes


class ArcJudge:
    """Collects the votes of all copies after the last step, see `task.Judge`."""

    def __init__(self, questions: Questions, voting: str) -> None:
        """Makes a judge for the questions, with a key of `vote.VOTING`."""
        self._questions, self._voting = questions, voting
        self._votes = vote.Votes()

    def see(
        self,
        places: Numbers,
        questions: Grids,
        answers: NDArray[np.uint8],
        halt_logits: NDArray[np.floating],
    ) -> None:
        """See `task.Judge`."""
        asked = self._questions
        examples = asked.examples[places]
        ids = asked.dataset.ids[examples] + asked.copies[places]
        transforms = asked.dataset.rows.transforms[ids]
        self._votes.add(examples.tolist(), answers[-1], halt_logits[-1], transforms)

    def result(self) -> dict[str, Any]:
        """See `task.Judge`: `pass@K` if answers are known, and a `submission`."""
        data = self._questions.dataset
        tests = np.unique(self._questions.examples)
        names = [data.rows.names[puzzle] for puzzle in data.puzzles()[tests]]
        rankings = {test: self._votes.ranking(test, self._voting) for test in tests.tolist()}
        tests_of: dict[str, list[int]] = {}
        answers: dict[str, list[tuple[Any, vote.Candidate]]] = {}
        rows, columns = sizes(data.labels[tests])
        for place, (name, test) in enumerate(zip(names, tests.tolist(), strict=True)):
            tests_of.setdefault(name, []).append(test)
            if rows[place]:
                answer = crop(data.labels[test], int(rows[place]), int(columns[place]))
                answers.setdefault(name, []).append((test, vote.candidate(answer)))
        passes = vote.pass_at(rankings, answers) if answers else {}
        return {
            **passes,
            "tasks": len(tests_of),
            "tests": len(tests),
            "voting": self._voting,
            "submission": vote.submission(rankings, tests_of),
        }
