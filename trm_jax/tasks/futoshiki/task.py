"""Futoshiki as a task."""

import dataclasses
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from trm_jax.core.randomness import Words
from trm_jax.core.settings import Settings, setting
from trm_jax.core.symmetries import GridSymmetry
from trm_jax.data.format import Dataset
from trm_jax.data.views import Augment, Grids
from trm_jax.tasks import ruled_datasets
from trm_jax.tasks.board import Board, Token
from trm_jax.tasks.deduction import Deduction
from trm_jax.tasks.futoshiki import lines, on_device, symmetry
from trm_jax.tasks.futoshiki.futoshiki import DRAWN, MAX_SIDE, MIN_SIDE, SIGNS, Futoshiki
from trm_jax.tasks.futoshiki.generate import first_unsolvable, generate
from trm_jax.tasks.given import Given
from trm_jax.tasks.task import Request, Shape, Task, Tokens

FILL, DARK = "#e9e9ee", "#262932"
"""Colours of the places between cells, on light and dark pages."""
WORDS = ("less than", "greater than", "less than below", "greater than below")


@dataclasses.dataclass(frozen=True)
class FutoshikiSettings(Settings):
    """Settings of Futoshiki: size and generation."""

    GROUP: ClassVar[str] = "config.data.futoshiki"

    side: int = setting(5, "Number of rows and columns of cells.", low=MIN_SIDE, high=MAX_SIDE)
    extra_clues: int = setting(
        0,
        "Max number of digits and signs put back into each generated, minimal puzzle.",
        low=0,
        high=10**5,
    )


class FutoshikiTask(Task):
    """Latin squares in which signs say which of two neighbours is less."""

    name = "futoshiki"
    settings = FutoshikiSettings
    shape_keys = ("side",)
    fewest_cells = (2 * MIN_SIDE - 1) ** 2

    def build(self, request: Request) -> Dataset:
        """See `Task`."""
        puzzle, extra = Futoshiki(request.settings.side), request.settings.extra_clues
        return ruled_datasets.build(
            self, request, lambda seed, count: generate(puzzle, seed, count, extra)
        )

    def build_test(self, path: str, shape: Shape) -> Dataset:
        """See `Task`: a CSV or CSV.gz file."""
        return ruled_datasets.build_test(self, path, shape)

    def shapes(self, settings: Any) -> dict[str, Any]:
        """See `Task`."""
        puzzle = Futoshiki(settings.side)
        return {"vocab": puzzle.vocab, "cells": puzzle.cells, "side": puzzle.side}

    def random_questions(self, shape: Shape, count: int) -> Tokens:
        """See `Task`."""
        puzzle = Futoshiki.from_manifest(shape)
        return generate(puzzle, 0, count, extra_clues=puzzle.side**2)[0]

    def settings_for_vocab(self, vocab: int) -> list[dict[str, Any]]:
        """See `Task`: no weights of Futoshiki models are published."""
        return []

    def augmentation(self, shape: Shape) -> tuple[Augment, int]:
        """See `Task`: one of the sixteen symmetries, uniformly."""
        images = symmetry.all_symmetries(Futoshiki.from_manifest(shape))

        def augment(inputs: Grids, labels: Grids, words: Words) -> tuple[Grids, Grids]:
            drawn = images.take((words[:, 0] >> np.uint64(60)).astype(np.int64))
            return drawn.apply(inputs), drawn.apply(labels)

        return augment, 1

    def symmetries(self, shape: Shape, which: str, count: int, seed: int) -> GridSymmetry:
        """See `Task`: at most sixteen."""
        return symmetry.copies(Futoshiki.from_manifest(shape), which)

    def deduction(self, shape: Shape) -> Deduction:
        """See `Task`: candidates are digits and signs; all signs are given."""
        return on_device.deduction(Futoshiki.from_manifest(shape))

    def symbols(self, shape: Shape) -> tuple[str, ...]:
        """See `Task`."""
        return lines.symbols(Futoshiki.from_manifest(shape))

    def empty_question(self, shape: Shape) -> Tokens:
        """See `Task`: blank cells without signs between them."""
        puzzle = Futoshiki.from_manifest(shape)
        digits, pairs = np.full(puzzle.side**2, -1), len(puzzle.edges())
        return puzzle.board(digits, np.zeros(pairs, np.int64))

    def read_all(self, shape: Shape, text: str) -> list[Given]:
        """See `Task`."""
        return lines.read_lines(text, Futoshiki.from_manifest(shape))

    def first_unsolvable(self, shape: Shape, questions: Tokens) -> tuple[int, str] | None:
        """See `Task`: names a contradiction, which the solver finds as well, if there is one."""
        puzzle = Futoshiki.from_manifest(shape)
        place = first_unsolvable(puzzle, questions)
        if place is None:
            return None
        reason = puzzle.check_question(questions[place])
        known = (
            f"contradicts itself: {reason}"
            if reason
            else "has no solution; check its digits and signs"
        )
        return place, known

    def check(self, shape: Shape, question: Tokens, answer: Tokens) -> list[str]:
        """See `Task`."""
        return Futoshiki.from_manifest(shape).check_answer(question, answer)

    def accepts(self, shape: Shape, questions: Tokens, answers: Tokens) -> NDArray[np.bool_]:
        """See `Task`."""
        return Futoshiki.from_manifest(shape).accepts(questions, answers)

    def title(self, shape: Shape) -> str:
        """See `Task`."""
        side = Futoshiki.from_manifest(shape).side
        return f"{side}x{side} Futoshiki"

    def board(self, shape: Shape) -> Board:
        """See `Task`."""
        puzzle = Futoshiki.from_manifest(shape)
        digits = (Token(digit, digit, digit) for digit in puzzle.digits)
        signs = (
            Token(word, sign, drawn, fill=FILL, dark=DARK)
            for word, sign, drawn in zip(WORDS, SIGNS, DRAWN, strict=True)
        )
        return Board(
            rows=puzzle.width,
            columns=puzzle.width,
            tokens=(
                Token("pad", "."),
                Token("blank", "."),
                *digits,
                *signs,
                Token("no sign", " ", fill=FILL, dark=DARK),
            ),
            lines=False,
        )
