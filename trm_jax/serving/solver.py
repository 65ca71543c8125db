"""The Python API: `trm_jax.load(path).solve(puzzles)`."""

import abc
import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trm_jax.core.errors import UserError
from trm_jax.core.numerics import halting_probability
from trm_jax.core.symmetries import FIRST_DIGIT
from trm_jax.data.format import Dataset
from trm_jax.data.rows import Rows
from trm_jax.infer.chain_search import ChainSearch
from trm_jax.infer.rollout import Rollout
from trm_jax.infer.solve import Answer, judged
from trm_jax.models.lattice.lattice_model import LatticeModel
from trm_jax.released.cards import cards, is_released, listed
from trm_jax.released.stored import load_released
from trm_jax.serving import hub
from trm_jax.serving import load as exports
from trm_jax.serving.demonstrated import Attempted, Effort, attempted, solve_groups
from trm_jax.serving.forms import Solved, as_questions
from trm_jax.serving.voted import vote
from trm_jax.tasks.task import Shape, task_of
from trm_jax.train import trained as work_directories
from trm_jax.train.trained import Trained

MOST = 64
"""Maximum number of questions per call of a program."""


def load(path: str | os.PathLike[str], *, checkpoint: int | None = None) -> "Solver":
    """Loads a model that solves puzzles.

    Args:
      path: a work directory of `trm train`, a directory of `trm export`, the name of a released
        model (`trm models`), or a model on the Hugging Face hub: "hf://owner/name" or "owner/name",
        optionally followed by "@revision". An existing path takes precedence over a name. Models in
        the hub's cache need no network.
      checkpoint: training step of a work directory's checkpoint; None for the best on held-out
        puzzles.

    Raises:
      UserError: the model does not exist, or is damaged.
    """
    text = os.fspath(path)
    if not text.startswith(hub.SCHEME):
        local = Path(text).expanduser()
        if "://" in text or (local / "config.json").exists():
            return of_trained(work_directories.load(text, checkpoint))
        if local.exists():
            if (local / "manifest.json").exists():
                return _exported(local, checkpoint)
            raise UserError(
                f"{text} is neither a work directory, which has a config.json, nor an export, "
                "which has a manifest.json; give one of them."
            )
        if is_released(text):
            return _released(text, checkpoint)
        if not hub.is_name(text):
            raise UserError(
                f"{text} does not exist; give a work directory, an exported directory, the name of "
                f"a released model ({listed(cards())}), or hf://owner/name."
            )
    return _exported(hub.fetch(text), checkpoint)


def of_trained(trained: Trained) -> "Solver":
    """The solver of a loaded model."""
    model = trained.model
    return OfLattice(trained, model) if isinstance(model, LatticeModel) else OfWorkDir(trained)


def _released(name: str, checkpoint: int | None) -> "Solver":
    if checkpoint is not None:
        raise UserError(f"{name} is released and has one checkpoint; leave `checkpoint` out.")
    return of_trained(load_released(name))


def _exported(root: Path, checkpoint: int | None) -> "OfExport":
    if checkpoint is not None:
        raise UserError(f"{root} is an export and has one checkpoint; leave `checkpoint` out.")
    try:
        return OfExport(root)
    except ValueError as error:
        raise UserError(f"{error}.") from error
    except (LookupError, TypeError, AttributeError) as error:
        raise UserError(
            f"{root / 'manifest.json'} is damaged ({type(error).__name__}: {error}); export the "
            "model again."
        ) from error


def _rows(root: Path, manifest: Mapping[str, Any]) -> Rows:
    """The names of an export's table rows.

    Raises:
      ValueError: they are missing or damaged.
    """
    if exports.ROWS not in manifest["sha256"]:
        raise ValueError(
            f"{root / 'manifest.json'} has no hash of {exports.ROWS}, which names the rows of its "
            "table; export the model again"
        )
    found = exports.read_arrays(root, exports.ROWS)
    if not {"tasks", "first", "transforms"} <= set(found) or (
        found["tasks"].dtype.kind != "U"
        or found["transforms"].ndim != 2
        or found["transforms"].dtype != np.uint8
        or found["first"].shape != (len(found["tasks"]) + 1,)
        or found["first"].dtype.kind != "i"
        or found["first"][0] != 1
        or (np.diff(found["first"]) < 1).any()
        or found["first"][-1] != len(found["transforms"])
    ):
        raise ValueError(f"{root / exports.ROWS} has no valid rows; export the model again")
    return Rows(tuple(found["tasks"].tolist()), found["first"], found["transforms"])


class Solver(abc.ABC):
    """A trained model. Its programs are compiled once per number of steps and batch size.

    Attributes:
      kind: kind of its puzzles: `task`, and `box`, `side`, `vocab`, `cells`.
      steps: default number of supervision steps.
    """

    kind: Mapping[str, Any]
    steps: int

    def solve(
        self,
        puzzles: Any,
        *,
        steps: int | None = None,
        copies: int | None = None,
        fit_updates: int | None = None,
    ) -> list[Solved]:
        """Solves puzzles.

        Args:
          puzzles: one puzzle or several, see `serving.forms.as_questions`. ARC: a task in Kaggle's
            format, `{"train": pairs, "test": pairs}`, or several by name.
          steps: number of supervision steps; None for `self.steps`, which is an export's maximum.
          copies: augmented copies of each test that vote, besides the original (ARC only); None
            for as many as in training.
          fit_updates: updates of training on demonstrations, as `trm solve --fit_updates` (ARC and
            work directories only); None trains if the puzzle table lacks rows.

        Returns:
          One answer per puzzle or, for ARC, per test of each task, in order.

        Raises:
          UserError: a puzzle is malformed, contradictory or without a solution; a task is not in
            the puzzle table of an export; a setting is invalid.
        """
        steps = self.steps if steps is None else steps
        if steps < 1:
            raise UserError(f"steps is {steps}; give 1 or more.")
        task = task_of(self.kind)
        if task.grouped:
            copies = int(self.kind["copies"]) if copies is None else copies
            dataset = task.groups_of(puzzles, self.kind, copies)
            submission = self._submission(dataset, steps, copies, fit_updates)
            return [_attempted(test, steps) for test in attempted(dataset, submission)]
        if copies is not None or fit_updates is not None:
            task.lacks("puzzles with demonstrations", "leave copies and fit_updates out")
        return self._solve(as_questions(self.kind, puzzles), steps)

    def _solve(self, questions: NDArray[np.uint8], steps: int) -> list[Solved]:
        """Answers to questions uint8 [m, S]."""
        answers, halt_logits = self._answers(questions, steps)
        probabilities = halting_probability(halt_logits)
        found = judged(self.kind, questions, answers, probabilities)
        return [_solved(self.kind, answer) for answer in found]

    @abc.abstractmethod
    def _answers(
        self, questions: NDArray[np.uint8], steps: int
    ) -> tuple[NDArray[np.uint8], NDArray[np.floating]]:
        """Answers uint8 [N, m, S] to questions [m, S], and halting logits [N, m]."""

    @abc.abstractmethod
    def _submission(
        self, dataset: Dataset, steps: int, copies: int, fit_updates: int | None
    ) -> dict[str, Any]:
        """A submission: two attempts at each test of each puzzle, by puzzle name."""


class OfWorkDir(Solver):
    """The model of a work directory: takes any number of steps, and trains missing rows for ARC."""

    def __init__(self, trained: Trained) -> None:
        """Takes a loaded model."""
        self.kind, self.steps = trained.manifest, trained.model.config.N
        self._trained = trained
        self._rollouts: dict[tuple[int, int], Rollout] = {}

    def _answers(
        self, questions: NDArray[np.uint8], steps: int
    ) -> tuple[NDArray[np.uint8], NDArray[np.floating]]:
        trained = self._trained
        # rounded up to a power of two, so that few sizes are compiled
        size = min(MOST, 1 << (len(questions) - 1).bit_length())
        if (steps, size) not in self._rollouts:
            self._rollouts[steps, size] = Rollout(trained.model, trained.mesh, steps, size)
        found = self._rollouts[steps, size](trained.weights, questions)
        return found.predictions, found.halt_logits

    def _submission(
        self, dataset: Dataset, steps: int, copies: int, fit_updates: int | None
    ) -> dict[str, Any]:
        effort = Effort(copies, fit_updates, False, steps, "", 0)
        submission: dict[str, Any] = solve_groups(self._trained, dataset, effort)["submission"]
        return submission


class OfLattice(OfWorkDir):
    """A lattice model, which searches: its answers satisfy the rules, or it abstains.

    `Solved.steps` is the number of rounds of the search. If it abstains, `solved` is False and
    `answer` is the question.
    """

    def __init__(self, trained: Trained, model: LatticeModel) -> None:
        """Takes a loaded model."""
        super().__init__(trained)
        deduction = task_of(self.kind).deduction(self.kind)
        self._search = ChainSearch(model, deduction, trained.mesh, MOST)

    def _solve(self, questions: NDArray[np.uint8], steps: int) -> list[Solved]:
        if steps != self.steps:
            raise UserError(f"steps is {steps}, but a lattice model searches; leave it out.")
        found = self._search(self._trained.weights.params, questions)
        answers = np.where(found.solved[:, None], found.answers, questions)
        judgements = judged(self.kind, questions, answers[None], found.solved[None].astype(float))
        return [
            dataclasses.replace(_solved(self.kind, answer), steps=int(rounds))
            for answer, rounds in zip(judgements, found.rounds, strict=True)
        ]


class OfExport(Solver):
    """An exported model, which does not need the code that trained it."""

    def __init__(self, root: Path) -> None:
        """Loads an exported directory.

        Raises:
          ValueError: it is not an export, or is damaged.
        """
        self._program = exports.load(root)
        manifest = self._program.manifest
        self.kind, self.steps = manifest["kind"], manifest["steps"]
        task = task_of(self.kind)
        for key in (*task.shape_keys, "vocab", "cells", *(("copies", "seed") * task.grouped)):
            if key not in self.kind:
                raise ValueError(
                    f"{root / 'manifest.json'} has a kind without {key!r}; export the model again"
                )
        if task.grouped:
            self._rows = _rows(root, manifest)

    def _answers(
        self, questions: NDArray[np.uint8], steps: int
    ) -> tuple[NDArray[np.uint8], NDArray[np.floating]]:
        self._check(steps)
        answers, halt_logits = self._program(questions)
        return answers[:steps], halt_logits[:steps]

    def _submission(
        self, dataset: Dataset, steps: int, copies: int, fit_updates: int | None
    ) -> dict[str, Any]:
        self._check(steps)
        if fit_updates:
            raise UserError(
                "an exported model does not train; leave fit_updates out, or load the work "
                "directory that it came from."
            )
        return vote(self._program, self._rows, dataset, copies, steps)

    def _check(self, steps: int) -> None:
        if steps > self.steps:
            raise UserError(
                f"steps is {steps}, but the model was exported with {self.steps}; give at most "
                "that many, or export it with --steps."
            )


def _solved(shape: Shape, answer: Answer) -> Solved:
    """The answer to a puzzle without demonstrations."""
    task = task_of(shape)
    return Solved(
        answer=task.write_array(shape, answer.answer),
        solved=None if answer.broken is None else not answer.broken,
        steps=answer.steps,
        confidence=float(answer.confidence[-1]),
        broken=tuple(answer.broken or ()),
        text=task.write(shape, answer.answer),
    )


def _attempted(test: Attempted, steps: int) -> Solved:
    """The attempts at one test of a puzzle with demonstrations, as colours 0 to 9."""
    first, second = (grid.astype(np.int64) - FIRST_DIGIT for grid in test.attempts)
    return Solved(answer=first, solved=test.right, steps=steps, name=test.name, second=second)
