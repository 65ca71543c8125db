"""The form of a dataset's grids: rows, columns, and the symbol of each token."""

import dataclasses
import functools
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trm_jax.core.errors import UserError
from trm_jax.core.symmetries import FIRST_DIGIT
from trm_jax.tasks.grid.cells import OTHER_ROW_ENDS, ROW_END, SEPARATORS

NOTHING, BLANK = 0, 1
MAX_SYMBOLS = 256 - FIRST_DIGIT - 1
"""Tokens are bytes. Two are not symbols, and one more is for cells outside of a grid."""
MAX_CHARACTERS = 32
"""Maximum length of a symbol, which is drawn and written in every cell."""
FORM_KEYS = ("rows", "columns", "alphabet", "blank", "open", "canvas")
"""Keys of a manifest that define a form."""


@dataclasses.dataclass(frozen=True)
class Form:
    """The form of grids and their tokens.

    Tokens are 0 (nothing), 1 (the blank), from 2 on the symbols, and with a canvas one more for
    cells outside of an answer. A grid is in the upper left corner of its canvas. Outside of it, a
    question has `NOTHING` and an answer `outside`, which is scored. So the size is part of an
    answer, and answers can be compared, voted on and drawn as they are.

    Attributes:
      rows: number of rows of a grid; with `canvas`, of the largest grid.
      columns: number of columns of a grid; with `canvas`, of the largest grid.
      alphabet: symbols of the tokens from 2 on.
      blank: symbol of token 1, which no answer has; empty if there is none.
      open: symbols of a question that an answer may change; empty if it may change all.
      canvas: whether grids differ in size.
    """

    rows: int
    columns: int
    alphabet: tuple[str, ...]
    blank: str = ""
    open: tuple[str, ...] = ()
    canvas: bool = False

    @classmethod
    def of(cls, shape: Mapping[str, Any]) -> "Form":
        """The form of a manifest."""
        values = {key: shape[key] for key in FORM_KEYS}
        return cls(**values | {key: tuple(shape[key]) for key in ("alphabet", "open")})

    def to_dict(self) -> dict[str, Any]:
        """The form as keys of a manifest, with `vocab` and `cells`."""
        lists = {"alphabet": list(self.alphabet), "open": list(self.open)}
        sizes = {"vocab": self.vocab, "cells": self.cells}
        return dataclasses.asdict(self) | lists | sizes

    @property
    def cells(self) -> int:
        """Number of cells, S."""
        return self.rows * self.columns

    @property
    def vocab(self) -> int:
        """Number of tokens, V."""
        return FIRST_DIGIT + len(self.alphabet) + self.canvas

    @property
    def outside(self) -> int:
        """Token of the cells outside of an answer on a canvas."""
        return self.vocab - 1

    @property
    def symbols(self) -> tuple[str, ...]:
        """All symbols, the blank first."""
        return (*([self.blank] if self.blank else []), *self.alphabet)

    @functools.cached_property
    def tokens(self) -> dict[str, int]:
        """Token of each symbol."""
        found = {symbol: token for token, symbol in enumerate(self.alphabet, FIRST_DIGIT)}
        return found | ({self.blank: BLANK} if self.blank else {})

    @property
    def words(self) -> bool:
        """Whether some symbol has several characters, so that texts have spaces between symbols."""
        return any(len(symbol) > 1 for symbol in self.symbols)

    @property
    def row_end(self) -> str:
        """Separator of rows in one line of text if grids differ in size; otherwise empty."""
        free = (mark for mark in ROW_END + OTHER_ROW_ENDS if mark not in self.tokens)
        return next(free, "\n") if self.canvas else ""

    @property
    def numbers(self) -> bool:
        """Whether every symbol is a whole number."""
        return all(map(is_number, self.symbols))

    def open_tokens(self) -> tuple[int, ...]:
        """Tokens of a question that an answer may change."""
        if not self.open:
            return tuple(range(self.vocab))
        return (NOTHING, BLANK, *(self.tokens[symbol] for symbol in self.open))

    def place(self, symbols: Iterable[str], name: str) -> NDArray[np.int64]:
        """Indices of symbols in the alphabet, int64, in their order.

        Raises:
          UserError: a symbol is not in the alphabet.
        """
        found = list(symbols)
        for symbol in found:
            if symbol not in self.alphabet:
                raise UserError(f"{name} has {symbol!r}; use symbols of {' '.join(self.alphabet)}.")
        return np.asarray([self.alphabet.index(symbol) for symbol in found], np.int64)


def is_number(symbol: str) -> bool:
    """Whether a symbol is a whole number as Python writes it."""
    return symbol.isascii() and symbol.removeprefix("-").isdigit() and str(int(symbol)) == symbol


def in_order(symbols: Iterable[str]) -> tuple[str, ...]:
    """Sorts symbols: whole numbers by value, then the others by their characters."""
    found = set(symbols)
    numbers = sorted((s for s in found if is_number(s)), key=int)
    return (*numbers, *sorted(found - set(numbers)))


def listed(text: str) -> tuple[str, ...]:
    """The symbols in the value of a setting: words separated by spaces or commas, or characters."""
    parts = [part for part in SEPARATORS.split(text) if part]
    return tuple(parts) if len(parts) > 1 else tuple(text)


def check_symbols(symbols: Iterable[str], where: str, *, canvas: bool = False) -> None:
    """Checks that symbols can be tokens, and can be read from text.

    Args:
      symbols: the symbols.
      where: their source, for errors.
      canvas: whether grids differ in size.

    Raises:
      UserError: there are too many, or one is too long, cannot be printed, or contains a separator.
    """
    found = list(symbols)
    if canvas and ROW_END in found:
        raise UserError(
            f"{where}: {ROW_END!r} cannot be a symbol with canvas, where it separates the rows of "
            "a grid in one line; use another character."
        )
    for symbol in found:
        if len(symbol) > MAX_CHARACTERS:
            raise UserError(
                f"{where} has the symbol {symbol[:MAX_CHARACTERS]}..., of {len(symbol):,} "
                f"characters, and a symbol has at most {MAX_CHARACTERS}; if each character is a "
                "cell, say so with split 'characters', or give strings instead of lists of cells."
            )
        if not symbol.isprintable():
            raise UserError(
                f"{where} has the symbol {symbol!a}, which cannot be printed; use other characters."
            )
    if len(found) > MAX_SYMBOLS:
        raise UserError(
            f"{where} has {len(found):,} different symbols ({', '.join(found[:3])}, ...), and at "
            f"most {MAX_SYMBOLS} are possible; if its cells are separated by spaces or are single "
            "characters, say so with split 'words' or 'characters'."
        )
    if any(len(symbol) > 1 for symbol in found):
        bad = next(
            (s for s in found if SEPARATORS.search(s) or set(s) & {ROW_END, *OTHER_ROW_ENDS}), None
        )
        if bad is not None:
            raise UserError(
                f"{where} has the symbol {bad!r}; where symbols have several characters, none has "
                "spaces, commas, semicolons, bars or slashes in it."
            )
