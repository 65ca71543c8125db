"""A page that shows a model thinking: traces of puzzles as one HTML text, which loads nothing."""

import dataclasses
import html
import json
from collections.abc import Sequence
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trm_jax.show.figures import ink
from trm_jax.tasks.board import Board, Grid

MOST_TRACES = 50
"""On one page; more would make it slow to load on a phone."""

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_FINEST = 99


@dataclasses.dataclass(frozen=True)
class Trace:
    """What a model made of one puzzle, step by step.

    All grids have the same rows and columns. Where they are grids of different sizes on a canvas,
    pads (0) of confidence 0 lie around the smaller ones.

    Attributes:
      name: of the puzzle.
      board: how its boards look.
      question: uint8 [rows, columns], tokens.
      path: uint8 [N, rows, columns], the answer after each supervision step.
      confidence: float [N, rows, columns], probability of each of these tokens.
      halting: float [N], halting probability after each step.
      right: whether each of the N answers is; None where that is not known.
      verdict: of the last answer, in words.
      answer: uint8 [rows, columns], where it is known.
      sizes: of a canvas: rows and columns of the grids of the question, then of the N steps, then
        of the answer (0x0 if unknown); int [N + 2, 2].
    """

    name: str
    board: Board
    question: Grid
    path: Grid
    confidence: NDArray[np.floating]
    halting: NDArray[np.floating]
    right: Sequence[bool | None]
    verdict: str
    answer: Grid | None = None
    sizes: NDArray[np.integer] | None = None


def page(title: str, traces: Sequence[Trace], note: str = "") -> str:
    """Makes the page.

    Args:
      title: of the page.
      traces: at least one and MOST_TRACES at most, of puzzles of one kind or of several.
      note: a sentence to be read below the title.

    Returns:
      HTML with style, program and data in it; it loads nothing, from a disk or over a network.
    """
    if not 0 < len(traces) <= MOST_TRACES:
        raise ValueError(f"{len(traces)} traces; a page has 1 to {MOST_TRACES}")
    # as a text in a script element, where only `<` could end it
    data = json.dumps(_records(traces), separators=(",", ":"))
    filled = {
        "title": html.escape(title),
        "note": html.escape(note),
        "style": _asset("trace.css"),
        "data": data.replace("<", "\\u003c"),
        "program": _asset("trace.js"),
    }
    text = _asset("trace.html")
    # split first: what is put in is not looked through for more places
    parts = text.split("{{")
    pieces = [parts[0]]
    for part in parts[1:]:
        key, rest = part.split("}}", 1)
        pieces += [filled[key], rest]
    return "".join(pieces)


def _asset(name: str) -> str:
    return (resources.files("trm_jax") / "show" / "assets" / name).read_text(encoding="utf-8")


def _records(traces: Sequence[Trace]) -> dict[str, Any]:
    """All that the page's program reads; boards that look alike are described once."""
    boards: list[dict[str, Any]] = []
    records = []
    for trace in traces:
        board = _look(trace.board)
        if board not in boards:
            boards.append(board)
        records.append(_record(trace, board["width"]) | {"board": boards.index(board)})
    return {"boards": boards, "traces": records}


def _look(board: Board) -> dict[str, Any]:
    """A board's description for the program.

    It also has `width`, the characters that spell a token, `longest`, those of the longest letter,
    and colours of letters that can be read on each token.
    """
    look = board.to_dict()
    look["width"] = 1 if len(board.tokens) <= len(_DIGITS) else 2
    look["longest"] = max(len(token.letter) for token in board.tokens)
    for token in look["tokens"]:
        token["ink"], token["darkInk"] = (
            ink(token[fill]) if token[fill] else "" for fill in ("fill", "dark")
        )
    return look


def _record(trace: Trace, width: int) -> dict[str, Any]:
    """A trace as the page's program reads it: `width` characters a token, two a probability."""
    rows, columns = trace.question.shape
    sizes = trace.sizes
    return {
        "name": trace.name,
        "rows": rows,
        "columns": columns,
        "question": _tokens(trace.question, width),
        "path": [_tokens(grid, width) for grid in trace.path],
        "confidence": [_shares(grid) for grid in trace.confidence],
        "halting": [round(float(p), 4) for p in trace.halting],
        "right": list(trace.right),
        "verdict": trace.verdict,
        "answer": None if trace.answer is None else _tokens(trace.answer, width),
        "sizes": None if sizes is None else sizes.tolist(),
    }


def _tokens(grid: Grid, width: int) -> str:
    """Token ids as numbers to the base 36."""
    spelt = (divmod(token, len(_DIGITS)) for token in grid.reshape(-1).tolist())
    return "".join((_DIGITS[high] + _DIGITS[low])[-width:] for high, low in spelt)


def _shares(confidence: NDArray[np.floating]) -> str:
    """Probabilities in ninety-ninths, two decimal digits each: 00 is 0 and 99 is 1."""
    finest = np.rint(np.clip(confidence.astype(np.float32), 0, 1) * _FINEST).astype(int)
    return "".join(f"{share:02d}" for share in finest.reshape(-1).tolist())
