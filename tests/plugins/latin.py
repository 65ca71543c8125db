"""A task in one file, as a user would bring it: Latin squares, generated.

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
BLANK = 1  # token 0 pads, and the letters' tokens begin at FIRST_DIGIT


@dataclasses.dataclass(frozen=True)
class LatinSettings(Settings):
    """Latin squares of one size; the group config.data.latin and flags of `trm data latin`."""

    GROUP = "config.data.latin"

    side: int = setting(4, "Rows of a square.", low=2, high=len(LETTERS))
    blanks: int = setting(4, "Cells that are left to be filled in.", low=1)


class LatinTask(Task):
    """Fill in a square so that no symbol stands twice in a row or column."""

    name = "latin"
    settings = LatinSettings
    shape_keys = ("side",)  # a model for one side is none for another
    alike_symbols = True

    def build(self, request):
        """Squares of the generator, divided into splits at random."""
        if request.source != "generate":
            raise UserError(f"config.data.path is {request.source!r}; Latin squares are generated.")
        counts = {"train": request.train, "heldout": request.heldout, "test": request.test}
        check_counts(request.source, **counts)
        total = sum(counts.values())
        inputs, labels = generate(total, request.seed, request.settings)
        kept, splits = choose(total, "the generator", **counts, seed=request.seed)
        facts = {"task": self.name, "seed": request.seed, "source": {"kind": "generate"}}
        facts |= self.shapes(request.settings)
        rows = np.zeros(total, np.int32)  # of the puzzle table: all puzzles share the first
        return assemble(inputs[kept], labels[kept], rows, splits, facts)

    def shapes(self, settings):
        """The form of the puzzles, before any is made."""
        side = settings.side
        return {"vocab": side + FIRST_DIGIT, "cells": side**2, "side": side}

    def augmentation(self, shape):
        """A copy has its letters renamed, by one random permutation."""
        side = shape["side"]

        def augment(inputs, labels, words):
            cells = np.tile(np.arange(side**2), (len(words), 1))
            renamed = GridSymmetry(random_permutations(words), cells)
            return renamed.apply(inputs), renamed.apply(labels)

        return augment, side

    def symmetries(self, shape, which, count, seed):
        """For copies that vote: letter d becomes d + k."""
        if which != "digits":
            self.lacks(f"symmetries of the kind {which!r}", "give --symmetry=digits")
        side = shape["side"]
        digits = (np.arange(side) + np.arange(side)[:, None]) % side
        return GridSymmetry(digits, np.tile(np.arange(side**2), (side, 1)))

    def check(self, shape, question, answer):
        """The rules that an answer breaks, in words."""
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
        """Letters on paper, one character each; so puzzles are read and written as text too."""
        letters = LETTERS[: shape["side"]]
        tokens = (Token("pad", "-"), Token("blank", "."), *(Token(x, x, letter=x) for x in letters))
        return Board(shape["side"], shape["side"], tokens)


def generate(count, seed, settings):
    """Questions and answers uint8 [count, S], a pure function of the arguments.

    A cyclic square has its rows, columns and symbols permuted; then cells are blanked.
    """
    side, cells = settings.side, settings.side**2
    words = random_words(derive_seed(seed, "Latin squares"), np.arange(count), 4 * cells)
    rows, columns, symbols, blanks = (words[:, i * cells :][:, :cells] for i in range(4))
    rows, columns, symbols = (random_permutations(w[:, :side]) for w in (rows, columns, symbols))
    square = (rows[:, :, None] + columns[:, None, :]) % side
    square = np.take_along_axis(symbols, square.reshape(count, cells), axis=1)
    labels = (square + FIRST_DIGIT).astype(np.uint8)
    hidden = random_permutations(blanks) < settings.blanks
    return np.where(hidden, np.uint8(BLANK), labels), labels


TASKS.register("latin", LatinTask())
