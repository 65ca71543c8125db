"""The Python API: `trm_jax.load(path).solve(puzzles)`."""

import abc
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trm_jax.core.errors import UserError
from trm_jax.core.numerics import halting_probability
from trm_jax.data.rows import Rows
from trm_jax.data.views import ARC, kind_of
from trm_jax.infer.solve import read_puzzles
from trm_jax.serving import hub
from trm_jax.serving import load as exports
from trm_jax.serving import voted as tasks
from trm_jax.serving.demonstrated import Effort, solve_tasks
from trm_jax.serving.forms import Solved, as_grid, as_tasks, as_texts
from trm_jax.serving.program import ANY, as_dicts, make_function
from trm_jax.tasks.arc.records import Puzzle
from trm_jax.tasks.maze.maze import Maze
from trm_jax.tasks.sudoku.sudoku import Sudoku
from trm_jax.train import trained as work_directories
from trm_jax.train.trained import Trained


def load(path: str | os.PathLike[str], *, checkpoint: int | None = None) -> "Solver":
    """Loads a model that solves puzzles.

    Args:
      path: a work directory of `trm train`, a directory of `trm export`, or a model on the Hugging
        Face hub: "hf://owner/name", or "owner/name" where there is no such path here. "@revision"
        may follow. A model in the hub's cache is found without a network.
      checkpoint: of a work directory; None takes the best on held-out puzzles.

    Raises:
      UserError: there is no model, or it is damaged.
    """
    text = os.fspath(path)
    if not text.startswith(hub.SCHEME):
        local = Path(text).expanduser()
        if "://" in text or (local / "config.json").exists():
            return OfWorkDir(work_directories.load(text, checkpoint))
        if local.exists():
            if (local / "manifest.json").exists():
                return _exported(local, checkpoint)
            raise UserError(
                f"{text} is neither a work directory, which has a config.json, nor an export, "
                "which has a manifest.json; give one of them."
            )
        if not hub.is_name(text):
            raise UserError(
                f"{text} is not there; give a work directory, an exported one, or hf://owner/name."
            )
    return _exported(hub.fetch(text), checkpoint)


def _exported(root: Path, checkpoint: int | None) -> "OfExport":
    if checkpoint is not None:
        raise UserError(f"{root} is an export and holds one checkpoint; leave `checkpoint` out.")
    try:
        return OfExport(root)
    except ValueError as error:
        raise UserError(f"{error}.") from error
    except KeyError as error:
        raise UserError(
            f"{root / 'manifest.json'} lacks {error}; export the model anew."
        ) from error


class Solver(abc.ABC):
    """A trained model. Its programs are compiled once for each number of steps and of puzzles.

    Attributes:
      kind: what puzzles it knows: `task`, and `box`, `side`, `vocab`, `cells`.
      steps: supervision steps that it takes unless told otherwise.
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
          puzzles: one or several. Sudoku and mazes: see `serving.grids.as_texts`. ARC: a task in
            Kaggle's form, `{"train": pairs, "test": pairs}`, or several by name.
          steps: supervision steps; None takes `self.steps`, and an export takes no more.
          copies: ARC: augmented copies of each test that vote, besides the original; None takes as
            many as in training.
          fit_updates: ARC, work directories only: as `trm solve --fit_updates`; None fits where
            the puzzle table lacks rows.

        Returns:
          One answer for each puzzle, or for each test of each task, in order.

        Raises:
          UserError: a puzzle is malformed, contradicts itself, or has no solution; a task is
            unknown to an export; a setting makes no sense.
        """
        steps = self.steps if steps is None else steps
        if steps < 1:
            raise UserError(f"steps is {steps}; give 1 or more.")
        if self.kind["task"] == ARC:
            known = as_tasks(puzzles)
            copies = int(self.kind["copies"]) if copies is None else copies
            submission = self._submission(known, steps, copies, fit_updates)
            return [
                tasks.attempted(task.name, two, test.output, steps)
                for task in known
                for two, test in zip(submission[task.name], task.tests, strict=True)
            ]
        if copies is not None or fit_updates is not None:
            raise UserError("copies and fit_updates are for ARC only; leave them out.")
        kind = kind_of(self.kind)
        questions = read_puzzles(kind, as_texts(kind, puzzles))
        answers, halt_logits = self._answers(questions, steps)
        sure = halting_probability(halt_logits)
        return [
            _solved(kind, question, answers[-1, i], sure[:, i])
            for i, question in enumerate(questions)
        ]

    @abc.abstractmethod
    def _answers(
        self, questions: NDArray[np.uint8], steps: int
    ) -> tuple[NDArray[np.uint8], NDArray[np.floating]]:
        """Answers uint8 [N, m, S] to questions [m, S], and halting logits [N, m]."""

    @abc.abstractmethod
    def _submission(
        self, known: list[Puzzle], steps: int, copies: int, fit_updates: int | None
    ) -> dict[str, Any]:
        """Two attempts at each test of each task, by the tasks' names."""


class OfWorkDir(Solver):
    """The model of a work directory, which takes any number of steps, and fits ARC's rows."""

    def __init__(self, trained: Trained) -> None:
        self.kind, self.steps = trained.manifest, trained.model.config.N
        self._trained = trained
        self._programs: dict[int, exports.Program] = {}

    def _answers(
        self, questions: NDArray[np.uint8], steps: int
    ) -> tuple[NDArray[np.uint8], NDArray[np.floating]]:
        if steps not in self._programs:
            weights, table = as_dicts(self._trained.weights)
            c = self._trained.model.config
            form = {"batch_size": ANY, "vocab": c.vocab, "cells": c.cells}
            function = make_function(self._trained.model, steps)
            self._programs[steps] = exports.Program(form, function, weights, table)
        return self._programs[steps](questions)

    def _submission(
        self, known: list[Puzzle], steps: int, copies: int, fit_updates: int | None
    ) -> dict[str, Any]:
        effort = Effort(copies, fit_updates, False, steps, tasks.VOTING, 0)
        return solve_tasks(self._trained, known, effort, "solve")["submission"]


class OfExport(Solver):
    """An exported model, which needs none of the code that trained it."""

    def __init__(self, root: Path) -> None:
        """Reads it; ValueError or KeyError where it is damaged."""
        self._program = exports.load(root)
        manifest = self._program.manifest
        self.kind, self.steps = manifest["kind"], manifest["steps"]
        if self.kind["task"] == ARC:
            with np.load(root / "rows.npz", allow_pickle=False) as found:
                names = tuple(found["tasks"].tolist())
                self._rows = Rows(names, found["first"], found["transforms"])

    def _answers(
        self, questions: NDArray[np.uint8], steps: int
    ) -> tuple[NDArray[np.uint8], NDArray[np.floating]]:
        self._check(steps)
        answers, halt_logits = self._program(questions)
        return answers[:steps], halt_logits[:steps]

    def _submission(
        self, known: list[Puzzle], steps: int, copies: int, fit_updates: int | None
    ) -> dict[str, Any]:
        self._check(steps)
        if fit_updates:
            raise UserError(
                "an exported model does not train; leave fit_updates out, or load the work "
                "directory that it came from."
            )
        return tasks.vote(self._program, self._rows, known, copies, steps)

    def _check(self, steps: int) -> None:
        if steps > self.steps:
            raise UserError(
                f"steps is {steps} and the model was exported with {self.steps}; take no more, or "
                "export it with --steps."
            )


def _solved(
    kind: Sudoku | Maze,
    question: NDArray[np.uint8],
    answer: NDArray[np.uint8],
    sure: NDArray[np.floating],
) -> Solved:
    believed = np.flatnonzero(sure > 0.5)
    broken = tuple(kind.check_answer(question, answer))
    return Solved(
        answer=as_grid(kind, answer),
        solved=not broken,
        steps=int(believed[0]) + 1 if len(believed) else len(sure),
        confidence=float(sure[-1]),
        broken=broken,
        text=kind.format_line(answer),
    )
