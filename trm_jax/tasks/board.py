"""What a board looks like, described once: terminal, pictures, animations and the page draw it."""

import dataclasses
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Grid = NDArray[np.uint8]
"""Tokens uint8 [rows, columns] of one board."""

# one #rrggbb each, of a cell's background in light and dark surroundings
PAPER = "#ffffff"


class Token(NamedTuple):
    """How a cell with a certain token looks.

    Attributes:
      word: what it is called: "wall", "7", "light blue".
      text: the one character that stands for it in plain text, and is read back.
      letter: drawn in the cell; empty for none.
      fill: colour of the cell, #rrggbb; empty where cells are paper with letters on it.
      dark: the same on a dark page; empty for the same as `fill`.
      wide: two characters that draw the cell in a terminal; empty for `text` and a blank.
      ansi: SGR codes that colour these, as in "1;32"; empty for none.
    """

    word: str
    text: str
    letter: str = ""
    fill: str = ""
    dark: str = ""
    wide: str = ""
    ansi: str = ""


@dataclasses.dataclass(frozen=True)
class Board:
    """How the boards of a data set look.

    Attributes:
      rows: of the board; of the largest one where `canvas`.
      columns: likewise.
      tokens: by token id.
      box: rows and columns between thick lines; (0, 0) for no thick lines.
      lines: whether there are thin lines between cells.
      open_tokens: tokens of a question that an answer may change; all other cells are given.
      canvas: grids have sizes of their own and lie in the corner of a canvas of pads (token 0).
    """

    rows: int
    columns: int
    tokens: tuple[Token, ...]
    box: tuple[int, int] = (0, 0)
    lines: bool = True
    open_tokens: tuple[int, ...] = (0, 1)
    canvas: bool = False

    @property
    def filled(self) -> bool:
        """Whether cells are coloured areas, not letters on paper."""
        return any(token.fill for token in self.tokens)

    def given(self, question: Grid) -> NDArray[np.bool_]:
        """The cells of a question that an answer may not change, of its shape."""
        return ~np.isin(question, self.open_tokens)

    def line(self, tokens: Grid) -> str:
        """All cells of any shape as one line of text."""
        return "".join(self.tokens[token].text for token in tokens.reshape(-1).tolist())

    def to_dict(self) -> dict[str, Any]:
        """Plain data for the page's program."""
        return {
            "tokens": [
                {"word": t.word, "letter": t.letter, "fill": t.fill, "dark": t.dark or t.fill}
                for t in self.tokens
            ],
            "box": list(self.box),
            "lines": self.lines,
            "open": list(self.open_tokens),
            "filled": self.filled,
        }
