"""A task in one file, as a user would bring it: Latin squares.

trm train --config tests/plugins/latin_config.py --workdir runs/latin
trm eval --workdir runs/latin --plugin tests/plugins/latin.py
"""

import dataclasses

import numpy as np

from trm_jax.core.errors import UserError
from trm_jax.core.randomness import derive_seed, random_permutations, random_words
from trm_jax.core.settings import Settings, setting
from trm_jax.core.symmetries import FIRST_DIGIT, GridSymmetry
from trm_jax.data.choice import check_counts, choose
from trm_jax.data.format import assemble
from trm_jax.tasks.board import Board, Token
from trm_jax.tasks.task import TASKS, Task

LETTERS = "ABCDEFGHI"
BLANK = 1


@dataclasses.dataclass(frozen=True)
class LatinSettings(Settings):
    """Latin squares of one size."""

    GROUP = "config.data.latin"

    side: int = setting(4, "Rows of a square.", low=2, high=len(LETTERS))
    blanks: int = setting(4, "Cells that are left to be filled in.", low=1)


class LatinTask(Task):
    """Fill in a square so that no symbol stands twice in a row or column."""

    name = "latin"
    settings = LatinSettings
    shape_keys = ("side",)
    alike_symbols = True

    def build(self, request):
        if request.source != "generate":
            raise UserError(f"config.data.path is {request.source!r}; Latin squares are generated.")
        counts = {"train": request.train, "heldout": request.heldout, "test": request.test}
        check_counts(request.source, **counts)
        side, cells = request.settings.side, request.settings.side**2
        total = sum(counts.values())
        words = random_words(
            derive_seed(request.seed, "Latin squares"), np.arange(total), 4 * cells
        )
        rows, columns, symbols, blanks = (words[:, i * cells :][:, :cells] for i in range(4))
        rows, columns, symbols = (
            random_permutations(w[:, :side]) for w in (rows, columns, symbols)
        )
        square = (rows[:, :, None] + columns[:, None, :]) % side
        square = np.take_along_axis(symbols, square.reshape(total, cells), axis=1)
        labels = (square + FIRST_DIGIT).astype(np.uint8)
        hidden = random_permutations(blanks) < request.settings.blanks
        inputs = np.where(hidden, np.uint8(BLANK), labels)
        kept, splits = choose(total, "the generator", **counts, seed=request.seed)
        facts = {"task": self.name, "seed": request.seed, "source": {"kind": "generate"}}
        return assemble(
            inputs[kept],
            labels[kept],
            np.zeros(len(kept), np.int32),
            splits,
            facts | self.shapes(request.settings),
        )

    def shapes(self, settings):
        side = settings.side
        return {"vocab": side + FIRST_DIGIT, "cells": side**2, "side": side}

    def augmentation(self, shape):
        side = shape["side"]

        def augment(inputs, labels, words):
            digits = random_permutations(words)
            cells = np.tile(np.arange(side**2), (len(words), 1))
            renamed = GridSymmetry(digits, cells)
            return renamed.apply(inputs), renamed.apply(labels)

        return augment, side

    def symmetries(self, shape, which, count, seed):
        if which != "digits":
            self.lacks(f"symmetries of the kind {which!r}", "give --symmetry=digits")
        side = shape["side"]
        digits = (np.arange(side) + np.arange(side)[:, None]) % side
        return GridSymmetry(digits, np.tile(np.arange(side**2), (side, 1)))

    def check(self, shape, question, answer):
        side = shape["side"]
        square = answer.reshape(side, side)
        broken = []
        if (answer < FIRST_DIGIT).any():
            broken.append(f"{int((answer < FIRST_DIGIT).sum())} cells are blank")
        if ((question >= FIRST_DIGIT) & (question != answer)).any():
            broken.append("a given was changed")
        for name, lines in (("row", square), ("column", square.T)):
            broken += [f"a symbol stands twice in a {name}" for x in lines if len(set(x)) < side]
        return broken

    def board(self, shape):
        letters = LETTERS[: shape["side"]]
        tokens = (Token("pad", "-"), Token("blank", "."), *(Token(x, x, letter=x) for x in letters))
        return Board(shape["side"], shape["side"], tokens)


TASKS.register("latin", LatinTask())
