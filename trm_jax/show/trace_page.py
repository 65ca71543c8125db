"""A page that plays traces of puzzles: one HTML text without external resources."""

import dataclasses
import html
import json
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trm_jax.core.symmetries import FIRST_DIGIT
from trm_jax.show.figures import ink
from trm_jax.show.pencil import UNDECIDED
from trm_jax.tasks.board import Board, Grid

MAX_TRACES = 50
"""Max number of traces on a page; more would load slowly on a phone."""

CONFLICT = "conflict"
"""Prefix of events that are restarts."""

_DEAD = "."
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_FINEST = 99


@dataclasses.dataclass(frozen=True)
class Trace:
    """The answers of a model to one puzzle, step by step.

    All grids have the same number of rows and columns. Smaller grids on a canvas are padded with
    token 0 of confidence 0.

    Attributes:
      name: name of the puzzle.
      board: look of its boards.
      question: uint8 [rows, columns], tokens.
      path: uint8 [N, rows, columns], the answer after each supervision step.
      confidence: float [N, rows, columns], probability of each token of `path`.
      halting: float [N], halting probability after each step.
      right: whether each of the N answers is right; None if unknown.
      verdict: verdict on the last answer, in words.
      answer: uint8 [rows, columns], the right answer; None if unknown.
      sizes: int [N + 2, 2], for grids on a canvas: rows and columns of the question, of the N
        answers, and of the right answer (0x0 if unknown).
      candidates: float [N, rows, columns, C], for models that eliminate candidates: probability of
        each remaining candidate after each round, 0 for eliminated ones. Candidate c is the token
        c + FIRST_DIGIT. `path` then has UNDECIDED cells, and `halting` is the probability that
        there is no conflict.
      events: how each of the N rounds ended, in a few words; "" if there is nothing to show. Those
        that begin with CONFLICT are restarts.
      marked: the cell that was guessed in each round, row * columns + column; None for none.
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
    candidates: NDArray[np.floating] | None = None
    events: Sequence[str] | None = None
    marked: Sequence[int | None] | None = None


def kinds(trace: Trace) -> list[str]:
    """How each round of a trace with candidates ended: "guess", "restart" or ""."""
    nothing = [None] * len(trace.path)
    events, marked = trace.events or nothing, trace.marked or nothing
    found = []
    for event, cell in zip(events, marked, strict=True):
        if event and event.startswith(CONFLICT):
            found.append("restart")
        else:
            found.append("" if cell is None else "guess")
    return found


def guesses(trace: Trace, step: int) -> list[int]:
    """Cells that were guessed from the last restart before a step up to this step."""
    ended, marked = kinds(trace), trace.marked or [None] * len(trace.path)
    found = []
    for place in range(step - 1, -1, -1):
        if place < step - 1 and ended[place] == "restart":
            break
        cell = marked[place]
        if cell is not None:
            found.append(cell)
    return found


def page(title: str, traces: Sequence[Trace], note: str = "") -> str:
    """Makes the page.

    Args:
      title: title of the page.
      traces: 1 to MAX_TRACES traces, of one or several kinds of puzzles.
      note: a sentence below the title.

    Returns:
      HTML with style, program and data, without external resources.
    """
    if not 0 < len(traces) <= MAX_TRACES:
        raise ValueError(f"{len(traces)} traces; a page has 1 to {MAX_TRACES}")
    # the text is inside a script element, which only `<` could end
    data = json.dumps(records(traces), separators=(",", ":"))
    filled = {
        "title": html.escape(title),
        "note": html.escape(note),
        "style": asset("trace.css"),
        "player": asset("player.html"),
        "data": data.replace("<", "\\u003c"),
        "program": asset("candidates.js") + asset("trace.js"),
    }
    return fill(asset("trace.html"), filled)


def fill(template: str, filled: Mapping[str, str]) -> str:
    """Replaces each {{key}} in a template by its text."""
    # split first, so that the texts themselves are not searched for keys
    parts = template.split("{{")
    pieces = [parts[0]]
    for part in parts[1:]:
        key, rest = part.split("}}", 1)
        pieces += [filled[key], rest]
    return "".join(pieces)


def asset(name: str) -> str:
    """A file of the page; the server's page uses the same files."""
    return (resources.files("trm_jax") / "show" / "assets" / name).read_text(encoding="utf-8")


def records(traces: Sequence[Trace]) -> dict[str, Any]:
    """The data that the page reads; equal boards are described once."""
    boards: list[dict[str, Any]] = []
    found = []
    for trace in traces:
        board = look(trace.board)
        if board not in boards:
            boards.append(board)
        found.append(_record(trace, board["width"]) | {"board": boards.index(board)})
    return {"boards": boards, "traces": found, "firstDigit": FIRST_DIGIT}


def look(board: Board) -> dict[str, Any]:
    """The description of a board for the page.

    It also has `width`, the number of characters that encode a token, `longest`, the length of the
    longest letter, and for each token a legible colour of its letter.
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
    """A trace as the page reads it: `width` characters per token, two per probability."""
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
        **_rounds(trace),
    }


def _rounds(trace: Trace) -> dict[str, Any]:
    """The fields of traces with candidates; None for other traces."""
    names = ("candidates", "kinds", "events", "marked")
    if trace.candidates is None:
        return dict.fromkeys(names)
    rounds = [
        _alive(shares[tokens == UNDECIDED])
        for shares, tokens in zip(trace.candidates, trace.path, strict=True)
    ]
    candidates = {"count": trace.candidates.shape[-1], "rounds": rounds}
    events = list(trace.events) if trace.events else None
    marked = [None if c is None else int(c) for c in trace.marked] if trace.marked else None
    return dict(zip(names, (candidates, kinds(trace), events, marked), strict=True))


def _tokens(grid: Grid, width: int) -> str:
    """Token ids as numbers in base 36."""
    spelt = (divmod(token, len(_DIGITS)) for token in grid.reshape(-1).tolist())
    return "".join((_DIGITS[high] + _DIGITS[low])[-width:] for high, low in spelt)


def _shares(confidence: NDArray[np.floating]) -> str:
    """Probabilities as two decimal digits each: 00 is 0 and 99 is 1."""
    finest = np.rint(np.clip(confidence.astype(np.float32), 0, 1) * _FINEST).astype(int)
    return "".join(f"{share:02d}" for share in finest.reshape(-1).tolist())


def _alive(candidates: NDArray[np.floating]) -> str:
    """As `_shares`, but with a single character for each eliminated candidate."""
    flat = candidates.reshape(-1)
    spelt = _shares(flat)
    shares = (spelt[i : i + 2] for i in range(0, len(spelt), 2))
    return "".join(s if alive else _DEAD for s, alive in zip(shares, flat > 0, strict=True))
