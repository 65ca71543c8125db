"""The look of grids of symbols: letters on paper, or coloured cells."""

import colorsys

from trm_jax.tasks.board import Board, Token
from trm_jax.tasks.grid.vocabulary import Form

LOOKS = ("auto", "letters", "colours")
MAX_LETTERS = 40
"""Max number of symbols that are drawn without colours, unless looks is 'letters'."""
_GOLDEN = 0.618034
_MARKS = "?~^!"


def board_of(form: Form, looks: str) -> Board:
    """The board of a form.

    Args:
      form: form of the grids.
      looks: one of LOOKS.
    """
    coloured = looks == "colours" or (looks == "auto" and len(form.alphabet) > MAX_LETTERS)
    nothing = next((mark for mark in _MARKS if mark not in form.tokens), "?")
    fills = [_fills(number) if coloured else ("", "") for number in range(len(form.alphabet))]
    around = ("#ececee", "#262932") if coloured else ("", "")
    paper = ("#fbfbf8", "#3b3f4a") if coloured else ("", "")
    tokens = [
        Token("nothing", nothing, "", *around),
        Token("blank", form.blank or nothing, "", *paper),
        *(
            Token(symbol, symbol, "" if symbol.isspace() else symbol, *fill)
            for symbol, fill in zip(form.alphabet, fills, strict=True)
        ),
    ]
    if form.canvas:
        tokens.append(Token("outside", nothing, "", *around))
    return Board(
        rows=form.rows,
        columns=form.columns,
        tokens=tuple(tokens),
        open_tokens=form.open_tokens(),
        canvas=form.canvas,
    )


def _fills(number: int) -> tuple[str, str]:
    """Colours of a symbol's cells on a light and on a dark page; the first symbol's are plain."""
    if not number:
        return "#f3f3ee", "#2b2d36"
    hue = number * _GOLDEN % 1
    return _hex(hue, 0.75), _hex(hue, 0.38)


def _hex(hue: float, lightness: float) -> str:
    parts = colorsys.hls_to_rgb(hue, lightness, 0.6)
    return "#" + "".join(f"{round(255 * part):02x}" for part in parts)
