"""The task Sudoku."""

import dataclasses
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from trm_jax.core.errors import UserError
from trm_jax.core.settings import Settings, setting
from trm_jax.core.symmetries import FIRST_DIGIT, GridSymmetry
from trm_jax.data.format import Dataset
from trm_jax.data.views import Augment, Grids
from trm_jax.tasks.board import Board, Token
from trm_jax.tasks.deduction import Deduction
from trm_jax.tasks.given import Given
from trm_jax.tasks.sudoku import build, on_device, symmetry
from trm_jax.tasks.sudoku.alphabet import BLANKS
from trm_jax.tasks.sudoku.generate import first_unsolvable, generate
from trm_jax.tasks.sudoku.sudoku import Sudoku
from trm_jax.tasks.task import Request, Shape, Task, Tokens

GENERATED_SIDE = 16
"""Max side of puzzles that are generated where random tokens would do; larger ones take long."""


@dataclasses.dataclass(frozen=True)
class SudokuSettings(Settings):
    """Settings of Sudokus: box shape and generation."""

    GROUP: ClassVar[str] = "config.data.sudoku"

    box: tuple[int, int] = setting((3, 3), "Number of rows and columns of a box.", low=2, high=12)
    extra_givens: int = setting(
        0,
        "Max number of givens put back into each generated, minimal puzzle.",
        low=0,
        high=10**5,
    )


class SudokuTask(Task):
    """Fill each cell with a digit so that each digit is once in every row, column and box."""

    name = "sudoku"
    settings = SudokuSettings
    shape_keys = ("box",)
    alike_symbols = True
    fewest_cells = 16
    published: ClassVar = {
        "mlp": "experiments/sudoku.py:extreme",
        "attention": "experiments/sudoku.py:extreme_attention",
    }

    def build(self, request: Request) -> Dataset:
        """See `Task`."""
        return build.build(
            box=request.settings.box,
            source=request.source,
            train=request.train,
            heldout=request.heldout,
            test=request.test,
            seed=request.seed,
            extra_givens=request.settings.extra_givens,
        )

    def build_test(self, path: str, shape: Shape) -> Dataset:
        """See `Task`: a CSV or CSV.gz file, or "hub"."""
        return build.build_test(path, shape["box"])

    def shapes(self, settings: Any) -> dict[str, Any]:
        """See `Task`."""
        sudoku = Sudoku(*settings.box)
        return {"vocab": sudoku.vocab, "cells": sudoku.cells, "box": list(settings.box)}

    def random_questions(self, shape: Shape, count: int) -> Tokens:
        """See `Task`: generated puzzles, or random tokens if generating would take too long."""
        sudoku = Sudoku.from_manifest(shape)
        if sudoku.side > GENERATED_SIDE:
            draw = np.random.default_rng(0)
            return draw.integers(1, sudoku.vocab, (count, sudoku.cells)).astype(np.uint8)
        return generate(sudoku, 0, count, extra_givens=sudoku.side)[0]

    def settings_for_vocab(self, vocab: int) -> list[dict[str, Any]]:
        """See `Task`: all box shapes for this number of digits."""
        side = vocab - FIRST_DIGIT
        found = [(r, side // r) for r in range(2, side // 2 + 1) if side % r == 0]
        return [{"box": box} for box in found]

    def augmentation(self, shape: Shape) -> tuple[Augment, int]:
        """See `Task`: a random symmetry, applied to a question and its answer."""
        box = Sudoku.from_manifest(shape).box

        def augment(inputs: Grids, labels: Grids, words: NDArray[np.uint64]) -> tuple[Grids, Grids]:
            drawn = symmetry.draw(words, *box)
            return drawn.apply(inputs), drawn.apply(labels)

        return augment, symmetry.words_needed(*box)

    def symmetries(self, shape: Shape, which: str, count: int, seed: int) -> GridSymmetry:
        """See `Task`."""
        return symmetry.copies(*Sudoku.from_manifest(shape).box, which, count, seed)

    def deduction(self, shape: Shape) -> Deduction:
        """See `Task`: the candidates of a cell are the digits."""
        return on_device.deduction(Sudoku.from_manifest(shape))

    def symbols(self, shape: Shape) -> tuple[str, ...]:
        """See `Task`."""
        written = Sudoku.from_manifest(shape).symbols
        return ("", BLANKS, *(s if s.isdigit() else s + s.lower() for s in written))

    def read(self, shape: Shape, text: str) -> Tokens:
        """See `Task`."""
        return Sudoku.from_manifest(shape).parse(text)

    def read_all(self, shape: Shape, text: str) -> list[Given]:
        """See `Task`: in any of the notations of `notation`."""
        return Sudoku.from_manifest(shape).parse_all(text)

    def write(self, shape: Shape, tokens: Tokens) -> str:
        """See `Task`."""
        return Sudoku.from_manifest(shape).format_line(tokens)

    def read_array(self, shape: Shape, cells: NDArray[Any]) -> Tokens:
        """See `Task`: characters, or digits with 0 for a blank."""
        if cells.dtype.kind == "U":
            return super().read_array(shape, cells)
        side = Sudoku.from_manifest(shape).side
        if cells.dtype.kind not in "iu" or cells.min() < 0 or cells.max() > side:
            raise UserError(
                f"the puzzle has cells other than integers from 0 to {side}; write digits, and 0 "
                "for a blank."
            )
        return (cells + (FIRST_DIGIT - 1)).astype(np.uint8)

    def write_array(self, shape: Shape, tokens: Tokens) -> NDArray[np.int64]:
        """See `Task`: digits from 1, 0 for a blank."""
        digits = self.grid(shape, tokens).astype(np.int64) - (FIRST_DIGIT - 1)
        return np.maximum(digits, 0)

    def first_unsolvable(self, shape: Shape, questions: Tokens) -> tuple[int, str] | None:
        """See `Task`: solves the questions with a SAT solver, and explains a contradiction."""
        sudoku = Sudoku.from_manifest(shape)
        place = first_unsolvable(sudoku, questions)
        if place is None:
            return None
        reason = sudoku.check_question(questions[place])
        known = f"contradicts itself: {reason}" if reason else "has no solution; check its givens"
        return place, known

    def check(self, shape: Shape, question: Tokens, answer: Tokens) -> list[str]:
        """See `Task`."""
        return Sudoku.from_manifest(shape).check_answer(question, answer)

    def accepts(self, shape: Shape, questions: Tokens, answers: Tokens) -> NDArray[np.bool_]:
        """See `Task`."""
        kept = ((questions == answers) | (questions < FIRST_DIGIT)).all(axis=1)
        return kept & Sudoku.from_manifest(shape).valid_answers(answers)

    def title(self, shape: Shape) -> str:
        """See `Task`."""
        side = Sudoku.from_manifest(shape).side
        return f"{side}x{side} Sudoku"

    def board(self, shape: Shape) -> Board:
        """See `Task`."""
        sudoku = Sudoku.from_manifest(shape)
        digits = (Token(symbol, symbol, letter=symbol) for symbol in sudoku.symbols)
        return Board(
            rows=sudoku.side,
            columns=sudoku.side,
            tokens=(Token("pad", "."), Token("blank", "."), *digits),
            box=sudoku.box,
        )
