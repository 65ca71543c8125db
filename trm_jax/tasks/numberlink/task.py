"""Numberlink as a task."""

import dataclasses
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from trm_jax.core.randomness import Words, derive_seed, random_permutations, random_words
from trm_jax.core.settings import Settings, setting
from trm_jax.core.symmetries import GridSymmetry, dihedral_cells
from trm_jax.data.format import Dataset
from trm_jax.data.questions import Questions
from trm_jax.data.views import Augment, Grids
from trm_jax.tasks import ruled_datasets
from trm_jax.tasks.board import Board, Token
from trm_jax.tasks.numberlink.generate import first_unsolvable, generate
from trm_jax.tasks.numberlink.judge import NumberlinkJudge
from trm_jax.tasks.numberlink.numberlink import (
    BLANK,
    LETTERS,
    MAX_SIDE,
    MIN_SIDE,
    Numberlink,
)
from trm_jax.tasks.task import Request, Shape, Task, Tokens

FILLS = (
    *("#e4572e", "#2f6fb7", "#f2b134", "#3a9d5d", "#8e5bb5", "#3fb8c4"),
    *("#d96ba0", "#8a6d3b", "#9ccc4f", "#5b6270", "#f0a58f", "#a9c4ea"),
)
"""Colours of the letters."""
BLANKS = ".0_"


@dataclasses.dataclass(frozen=True)
class NumberlinkSettings(Settings):
    """Settings of Numberlink: size and generation."""

    GROUP: ClassVar[str] = "config.data.numberlink"

    side: int = setting(5, "Number of rows and columns of a grid.", low=MIN_SIDE, high=MAX_SIDE)
    letters: int = setting(
        5, "Max number of pairs of letters in a puzzle.", low=1, high=len(LETTERS)
    )


class NumberlinkTask(Task):
    """Paths between equal letters that fill the grid and do not touch themselves."""

    name = "numberlink"
    settings = NumberlinkSettings
    shape_keys = ("side", "letters")
    alike_symbols = True
    fewest_cells = MIN_SIDE**2
    scores: ClassVar = {"joined_pairs": "pairs joined"}

    def build(self, request: Request) -> Dataset:
        """See `Task`."""
        puzzle = Numberlink(request.settings.side, request.settings.letters)
        return ruled_datasets.build(
            self, request, lambda seed, count: generate(puzzle, seed, count)
        )

    def build_test(self, path: str, shape: Shape) -> Dataset:
        """See `Task`: a CSV or CSV.gz file."""
        return ruled_datasets.build_test(self, path, shape)

    def shapes(self, settings: Any) -> dict[str, Any]:
        """See `Task`."""
        puzzle = Numberlink(settings.side, settings.letters)
        sizes = {"side": puzzle.side, "letters": puzzle.letters}
        return {"vocab": puzzle.vocab, "cells": puzzle.cells, **sizes}

    def random_questions(self, shape: Shape, count: int) -> Tokens:
        """See `Task`."""
        return generate(Numberlink.from_manifest(shape), 0, count)[0]

    def settings_for_vocab(self, vocab: int) -> list[dict[str, Any]]:
        """See `Task`: no weights of Numberlink models are published."""
        return []

    def augmentation(self, shape: Shape) -> tuple[Augment, int]:
        """See `Task`: a rotation or reflection and a renaming of letters, both uniform."""
        puzzle = Numberlink.from_manifest(shape)

        def augment(inputs: Grids, labels: Grids, words: Words) -> tuple[Grids, Grids]:
            drawn = _draw(puzzle, words)
            return drawn.apply(inputs), drawn.apply(labels)

        return augment, puzzle.letters + 1

    def symmetries(self, shape: Shape, which: str, count: int, seed: int) -> GridSymmetry:
        """See `Task`: "digits" renames the letters cyclically."""
        puzzle = Numberlink.from_manifest(shape)
        cells, letters = np.arange(puzzle.cells), np.arange(puzzle.letters)
        if which == "digits":
            renamed = (letters + letters[:, None]) % puzzle.letters
            return GridSymmetry(renamed, np.tile(cells, (puzzle.letters, 1)))
        if which == "dihedral":
            return GridSymmetry(np.tile(letters, (8, 1)), dihedral_cells(puzzle.side))
        seed = derive_seed(seed, "symmetric copies")
        drawn = _draw(puzzle, random_words(seed, np.arange(count), puzzle.letters + 1))
        drawn.digits[0], drawn.cells[0] = letters, cells
        return drawn

    def symbols(self, shape: Shape) -> tuple[str, ...]:
        """See `Task`: letters, or the numbers 1 to 9."""
        letters = LETTERS[: Numberlink.from_manifest(shape).letters]
        numbers = (*map(str, range(1, 10)), "", "", "")
        pairs_of = zip(letters, numbers, strict=False)
        return ("", BLANKS, *(each + each.lower() + number for each, number in pairs_of))

    def first_unsolvable(self, shape: Shape, questions: Tokens) -> tuple[int, str] | None:
        """See `Task`: checks for contradictions first, then with a solver."""
        puzzle = Numberlink.from_manifest(shape)
        for number, question in enumerate(questions):
            if reason := puzzle.check_question(question):
                return number, f"contradicts itself: {reason}"
        place = first_unsolvable(puzzle, questions)
        words = "has no solution: the letters cannot be joined by paths that fill the grid"
        return None if place is None else (place, words)

    def check(self, shape: Shape, question: Tokens, answer: Tokens) -> list[str]:
        """See `Task`."""
        return Numberlink.from_manifest(shape).check_answer(question, answer)

    def accepts(self, shape: Shape, questions: Tokens, answers: Tokens) -> NDArray[np.bool_]:
        """See `Task`."""
        return Numberlink.from_manifest(shape).accepts(questions, answers)

    def judge(self, questions: Questions, voting: str) -> NumberlinkJudge:
        """See `Task`."""
        self.check_voting(voting)
        return NumberlinkJudge(Numberlink.from_manifest(questions.dataset.manifest))

    def title(self, shape: Shape) -> str:
        """See `Task`."""
        side = Numberlink.from_manifest(shape).side
        return f"{side}x{side} Numberlink"

    def board(self, shape: Shape) -> Board:
        """See `Task`."""
        puzzle = Numberlink.from_manifest(shape)
        letters = zip(LETTERS[: puzzle.letters], FILLS, strict=False)
        return Board(
            rows=puzzle.side,
            columns=puzzle.side,
            tokens=(
                Token("pad", "."),
                Token("blank", "."),
                *(Token(letter, letter, letter, fill=fill) for letter, fill in letters),
            ),
            open_tokens=(0, BLANK),
        )


def _draw(puzzle: Numberlink, words: Words) -> GridSymmetry:
    """A symmetry for each row of random words, uint64 [B, letters + 1]."""
    cells = dihedral_cells(puzzle.side)[(words[:, 0] >> np.uint64(61)).astype(np.int64)]
    return GridSymmetry(random_permutations(words[:, 1:]), cells)
