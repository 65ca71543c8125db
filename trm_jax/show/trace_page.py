"""A page that shows a model thinking: traces of puzzles as one HTML text, which loads nothing."""

import dataclasses
import html
import json
from collections.abc import Sequence
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trm_jax.show.panels import Board, Kind
from trm_jax.tasks.maze.maze import SYMBOLS, Maze
from trm_jax.tasks.sudoku.sudoku import Sudoku

MOST_TRACES = 50
"""On one page; more would make it slow to load on a phone."""

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_FINEST = 99


@dataclasses.dataclass(frozen=True)
class Trace:
    """What a model made of one puzzle, step by step.

    All boards have the same rows and columns. ARC's tokens are a canvas', and where a grid is
    smaller than the board, pads (0) of confidence 0 lie around it.

    Attributes:
        name: of the puzzle.
        kind: None is ARC's.
        question: uint8 [rows, columns], tokens.
        path: uint8 [N, rows, columns], the answer after each supervision step.
        confidence: float [N, rows, columns], probability of each of these tokens.
        halting: float [N], halting probability after each step.
        right: whether each of the N answers is; None where nobody knows.
        verdict: of the last answer, in words.
        answer: uint8 [rows, columns], where it is known.
        sizes: ARC: rows and columns of the grids of the question, then of the N steps, then of the
            answer (0x0 if unknown); int [N + 2, 2].
    """

    name: str
    kind: Kind
    question: Board
    path: Board
    confidence: NDArray[np.floating]
    halting: NDArray[np.floating]
    right: Sequence[bool | None]
    verdict: str
    answer: Board | None = None
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
    data = json.dumps([_record(trace) for trace in traces], separators=(",", ":"))
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


def _record(trace: Trace) -> dict[str, Any]:
    """A trace as the page's program reads it: one character a token, two a probability."""
    kind = trace.kind
    rows, columns = trace.question.shape
    names = {Sudoku: "sudoku", Maze: "maze", type(None): "arc"}
    symbols = {Sudoku: "", Maze: "?" + SYMBOLS, type(None): ".+0123456789"}[type(kind)]
    sizes = trace.sizes
    return {
        "name": trace.name,
        "kind": names[type(kind)],
        "rows": rows,
        "columns": columns,
        "box": [kind.box_rows, kind.box_columns] if isinstance(kind, Sudoku) else None,
        "symbols": "?." + kind.symbols if isinstance(kind, Sudoku) else symbols,
        "question": _tokens(trace.question),
        "path": [_tokens(board) for board in trace.path],
        "sure": [_shares(board) for board in trace.confidence],
        "halting": [round(float(p), 4) for p in trace.halting],
        "right": list(trace.right),
        "verdict": trace.verdict,
        "answer": None if trace.answer is None else _tokens(trace.answer),
        "sizes": None if sizes is None else sizes.tolist(),
    }


def _tokens(board: Board) -> str:
    return "".join(_DIGITS[token] for token in board.reshape(-1).tolist())


def _shares(confidence: NDArray[np.floating]) -> str:
    """Probabilities in ninety-ninths, two decimal digits each: 00 is 0 and 99 is 1."""
    finest = np.rint(np.clip(confidence.astype(np.float32), 0, 1) * _FINEST).astype(int)
    return "".join(f"{share:02d}" for share in finest.reshape(-1).tolist())
