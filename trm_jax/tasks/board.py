"""How a board looks, described once for the terminal, pictures, animations and pages."""

import dataclasses
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Grid = NDArray[np.uint8]
"""Token ids of one board, uint8 [rows, columns]."""

# Background of a cell on a light page, #rrggbb.
PAPER = "#ffffff"


class Token(NamedTuple):
    """How a cell with a certain token looks.

    Attributes:
      word: its name: "wall", "7", "light blue".
      text: the single character for it in plain text, which can be read back.
      letter: letter drawn in the cell; empty for none.
      fill: background colour of the cell, #rrggbb; empty for letters on a plain background.
      dark: background colour on a dark page; empty for the same as `fill`.
      wide: two characters that draw the cell in a terminal; empty for `text` and a space.
      ansi: SGR codes that colour these, such as "1;32"; empty for none.
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
    """How the boards of a dataset look.

    Attributes:
      rows: number of rows; with `canvas`, of the largest board.
      columns: number of columns; with `canvas`, of the largest board.
      tokens: appearance of each token id.
      box: rows and columns between thick lines; (0, 0) for no thick lines.
      lines: whether thin lines are drawn between cells.
      open_tokens: tokens of a question that an answer may change; all other cells are given.
      canvas: whether boards differ in size and are placed in the corner of a canvas of pads
        (token 0).
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
        """Whether cells are coloured areas instead of letters on a plain background."""
        return any(token.fill for token in self.tokens)

    def given(self, question: Grid) -> NDArray[np.bool_]:
        """Mask of the question's cells that an answer may not change, of the question's shape."""
        return ~np.isin(question, self.open_tokens)

    def line(self, tokens: Grid) -> str:
        """All cells, of any shape, as one line of text."""
        return "".join(self.tokens[token].text for token in tokens.reshape(-1).tolist())

    def to_dict(self) -> dict[str, Any]:
        """Plain data for the page's JavaScript."""
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
