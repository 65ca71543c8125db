"""What else an evaluation says of a task's answers, besides how many are exactly right."""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from trm_jax.data.questions import Questions
from trm_jax.data.views import ARC, Grids, Numbers, task_numbers
from trm_jax.tasks.arc import vote as arc_vote
from trm_jax.tasks.arc.canvas import crop, sizes
from trm_jax.tasks.maze import score as maze_path


class Judge(Protocol):
    """Sees the answers batch by batch, and says at the end what came of them."""

    def see(
        self,
        places: Numbers,
        questions: Grids,
        answers: NDArray[np.uint8],
        halt_logits: NDArray[np.floating],
    ) -> None:
        """Takes note of answers uint8 [N, b, S] to questions [b, S], with halt logits [N, b]."""

    def result(self) -> dict[str, Any]:
        """What goes into the evaluation's record; under `by_depth` a list for each depth."""


def judge(questions: Questions, voting: str) -> Judge | None:
    """The judge of a task, a fresh one for each evaluation; None where exactness is all.

    Args:
        questions: which will be asked.
        voting: ARC: a key of `arc_vote.VOTING`.
    """
    task = questions.dataset.manifest["task"]
    if task == ARC:
        return ArcJudge(questions, voting)
    return MazeJudge(questions) if task == "maze" else None


class MazeJudge:
    """Whether the answer is a path at all, and whether it is one of the shortest."""

    def __init__(self, questions: Questions) -> None:
        self._side = int(questions.dataset.manifest["side"])
        self._valid: list[NDArray[np.bool_]] = []
        self._shortest: list[NDArray[np.bool_]] = []

    def see(
        self,
        places: Numbers,
        questions: Grids,
        answers: NDArray[np.uint8],
        halt_logits: NDArray[np.floating],
    ) -> None:
        """See `Judge`."""
        del places, halt_logits
        depths = [maze_path.score(questions, answer, self._side) for answer in answers]
        self._valid.append(np.stack([valid for valid, _ in depths]))
        self._shortest.append(np.stack([shortest for _, shortest in depths]))

    def result(self) -> dict[str, Any]:
        """See `Judge`: `valid_path` and `shortest_path`, the shares of mazes."""
        valid, shortest = (
            np.concatenate(parts, axis=1).mean(axis=1).tolist()
            for parts in (self._valid, self._shortest)
        )
        by_depth = [
            {"valid_path": v, "shortest_path": s} for v, s in zip(valid, shortest, strict=True)
        ]
        return {**by_depth[-1], "by_depth": by_depth}


class ArcJudge:
    """The vote of all copies of a test on its answer, after the last step."""

    def __init__(self, questions: Questions, voting: str) -> None:
        arc_vote.check_voting(voting)
        self._questions, self._voting = questions, voting
        self._votes = arc_vote.Votes()

    def see(
        self,
        places: Numbers,
        questions: Grids,
        answers: NDArray[np.uint8],
        halt_logits: NDArray[np.floating],
    ) -> None:
        """See `Judge`."""
        asked = self._questions
        examples = asked.examples[places]
        ids = asked.dataset.ids[examples] + asked.copies[places]
        transforms = asked.dataset.rows.transforms[ids]
        self._votes.add(examples.tolist(), answers[-1], halt_logits[-1], transforms)

    def result(self) -> dict[str, Any]:
        """See `Judge`: `pass@K`, where answers are known, and a `submission`."""
        data = self._questions.dataset
        tests = np.unique(self._questions.examples)
        names = [data.rows.tasks[task] for task in task_numbers(data)[tests]]
        rankings = {test: self._votes.ranking(test, self._voting) for test in tests.tolist()}
        tests_of: dict[str, list[int]] = {}
        answers: dict[str, list[tuple[Any, arc_vote.Candidate]]] = {}
        rows, columns = sizes(data.labels[tests])
        for place, (name, test) in enumerate(zip(names, tests.tolist(), strict=True)):
            tests_of.setdefault(name, []).append(test)
            if rows[place]:
                answer = crop(data.labels[test], int(rows[place]), int(columns[place]))
                answers.setdefault(name, []).append((test, arc_vote.candidate(answer)))
        passes = arc_vote.pass_at(rankings, answers) if answers else {}
        return {
            **passes,
            "tasks": len(tests_of),
            "tests": len(tests),
            "voting": self._voting,
            "submission": arc_vote.submission(rankings, tests_of),
        }
