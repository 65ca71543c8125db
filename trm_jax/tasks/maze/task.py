"""The task maze."""

import dataclasses
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from trm_jax.core.randomness import Words
from trm_jax.core.settings import setting
from trm_jax.core.symmetries import FIRST_DIGIT, GridSymmetry, dihedral_cells
from trm_jax.data.format import Dataset
from trm_jax.data.questions import Questions
from trm_jax.data.views import Augment, Grids
from trm_jax.tasks.board import Board, Token
from trm_jax.tasks.given import Given
from trm_jax.tasks.maze import build, score
from trm_jax.tasks.maze.generate import generate
from trm_jax.tasks.maze.judge import MazeJudge
from trm_jax.tasks.maze.maze import DOT, MAX_SIDE, MIN_SIDE, Maze
from trm_jax.tasks.maze.paths import FREE, GOAL, START, WALL
from trm_jax.tasks.maze.recipe import MazeRecipe
from trm_jax.tasks.task import Request, Shape, Task, Tokens

TOKENS = (
    Token("pad", " ", fill="#ececee", dark="#262932", wide="??"),
    Token("wall", "#", fill="#2b2d36", dark="#08090b", wide="██"),
    Token("free", " ", fill="#f6f6f1", dark="#3b3f4a", wide="  "),
    Token("start", "S", "S", fill="#0a7d33", dark="#2fa85a", wide="S ", ansi="1;32"),
    Token("goal", "G", "G", fill="#c62828", dark="#e0524a", wide="G ", ansi="1;31"),
    Token("path", "o", fill="#7db7f0", dark="#4b93dc", wide="••", ansi="36"),
)


@dataclasses.dataclass(frozen=True)
class MazeSettings(MazeRecipe):
    """Settings of square mazes and of their generator."""

    side: int = setting(30, "Number of rows and columns of a maze.", low=MIN_SIDE, high=MAX_SIDE)


class MazeTask(Task):
    """Find a shortest path from S to G through free cells."""

    name = "maze"
    settings = MazeSettings
    shape_keys = ("side",)
    fewest_cells = MIN_SIDE**2
    published: ClassVar = {"attention": "experiments/maze.py:hard"}
    scores: ClassVar = {"valid_path": "paths", "shortest_path": "shortest"}

    def build(self, request: Request) -> Dataset:
        """See `Task`."""
        return build.build(
            source=request.source,
            train=request.train,
            heldout=request.heldout,
            test=request.test,
            seed=request.seed,
            **request.settings.to_dict(),
        )

    def build_test(self, path: str, shape: Shape) -> Dataset:
        """See `Task`: a CSV file, or "hub"."""
        return build.build_test(path, shape["side"])

    def shapes(self, settings: Any) -> dict[str, Any]:
        """See `Task`."""
        maze = Maze(settings.side)
        return {"vocab": maze.vocab, "cells": maze.cells, "side": settings.side}

    def random_questions(self, shape: Shape, count: int) -> Tokens:
        """See `Task`."""
        return generate(Maze.from_manifest(shape), 0, count)[0]

    def settings_for_vocab(self, vocab: int) -> list[dict[str, Any]]:
        """See `Task`: mazes of any side have the same tokens."""
        return [{}] if vocab == Maze(MIN_SIDE).vocab else []

    def augmentation(self, shape: Shape) -> tuple[Augment, int]:
        """See `Task`: one of the eight rotations and reflections, drawn uniformly."""
        images = dihedral_cells(Maze.from_manifest(shape).side)

        def augment(inputs: Grids, labels: Grids, words: Words) -> tuple[Grids, Grids]:
            cells = images[words[:, 0] >> np.uint64(61)]
            return np.take_along_axis(inputs, cells, 1), np.take_along_axis(labels, cells, 1)

        return augment, 1

    def symmetries(self, shape: Shape, which: str, count: int, seed: int) -> GridSymmetry:
        """See `Task`: only rotations and reflections."""
        if which == "digits":
            self.lacks("digits to relabel", "choose the dihedral symmetries")
        maze = Maze.from_manifest(shape)
        maps = dihedral_cells(maze.side)
        return GridSymmetry(np.tile(np.arange(maze.vocab - FIRST_DIGIT), (len(maps), 1)), maps)

    def symbols(self, shape: Shape) -> tuple[str, ...]:
        """See `Task`."""
        return ("", "#", " " + DOT, "S", "G", "o")

    def question_tokens(self, shape: Shape) -> tuple[int, ...]:
        """See `Task`: all but the path."""
        return WALL, FREE, START, GOAL

    def read(self, shape: Shape, text: str) -> Tokens:
        """See `Task`."""
        return Maze.from_manifest(shape).parse(text)

    def read_all(self, shape: Shape, text: str) -> list[Given]:
        """See `Task`."""
        return Maze.from_manifest(shape).parse_all(text)

    def first_unsolvable(self, shape: Shape, questions: Tokens) -> tuple[int, str] | None:
        """See `Task`."""
        maze = Maze.from_manifest(shape)
        for number, question in enumerate(questions):
            if reason := maze.check_question(question):
                return number, f"contradicts itself: {reason}"
        return None

    def check(self, shape: Shape, question: Tokens, answer: Tokens) -> list[str]:
        """See `Task`: any of the shortest paths is right."""
        return Maze.from_manifest(shape).check_answer(question, answer)

    def accepts(self, shape: Shape, questions: Tokens, answers: Tokens) -> NDArray[np.bool_]:
        """See `Task`."""
        return score.score(questions, answers, Maze.from_manifest(shape).side)[1]

    def judge(self, questions: Questions, voting: str) -> MazeJudge:
        """See `Task`."""
        self.check_voting(voting)
        return MazeJudge(int(questions.dataset.manifest["side"]))

    def title(self, shape: Shape) -> str:
        """See `Task`."""
        side = Maze.from_manifest(shape).side
        return f"mazes of {side}x{side} cells"

    def board(self, shape: Shape) -> Board:
        """See `Task`."""
        side = Maze.from_manifest(shape).side
        return Board(side, side, TOKENS, lines=False, open_tokens=(FREE,))
