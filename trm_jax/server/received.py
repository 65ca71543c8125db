"""Reads and checks the puzzles in the body of a request, text or JSON."""

import json
from typing import Any, NamedTuple

from trm_jax.core.errors import UserError
from trm_jax.server.bounds import Bounds
from trm_jax.serving.forms import as_questions
from trm_jax.tasks.board import Board
from trm_jax.tasks.task import Shape, Tokens, task_of
from trm_jax.tasks.texts import Source, read_puzzles

KEYS = ("puzzles", "trace")
MAX_CELL = 2**31
LINES_A_ROW = 3
"""Max number of lines per row of a puzzle, with frames and empty lines."""
DEPTH = 3
"""Max depth of nested lists: puzzles, rows, cells."""


class Asked(NamedTuple):
    """Questions uint8 [m, S], and whether traces are requested."""

    questions: Tokens
    trace: bool


def read_body(shape: Shape, body: bytes, is_json: bool, trace: bool, bounds: Bounds) -> Asked:
    """Reads a request's body.

    Args:
      shape: form of the model's puzzles.
      body: text in UTF-8.
      is_json: whether the body is JSON `{"puzzles": ..., "trace": ...}`, or a text with puzzles.
      trace: whether the query of the URL requests traces.
      bounds: limits of the server.

    Raises:
      UserError: the body is malformed; names the puzzle.
    """
    text = _decoded(body)
    board = task_of(shape).board(shape)
    if is_json:
        puzzles, asks = _read_json(text)
        if isinstance(puzzles, list) and len(puzzles) > board.rows * board.columns:
            _check_count(len(puzzles), trace or asks, bounds)  # before they are read
        questions, trace = as_questions(shape, puzzles), trace or asks
    else:
        _check_lines(text, board, bounds.puzzles)
        questions = read_puzzles(shape, [Source(text)]).questions
    _check_count(len(questions), trace, bounds)
    return Asked(questions, trace)


def read_one(shape: Shape, body: bytes) -> Tokens:
    """Reads the single puzzle of a text, in UTF-8; it may contradict the rules.

    Returns:
      Tokens, uint8 [S].

    Raises:
      UserError: the text is not one puzzle.
    """
    text, task = _decoded(body), task_of(shape)
    _check_lines(text, task.board(shape), 1)
    return task.read(shape, text)


def _decoded(body: bytes) -> str:
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"the body is not UTF-8 (byte {error.start + 1}); send UTF-8.") from error


def _check_lines(text: str, board: Board, puzzles: int) -> None:
    """Checks the number of lines of a text with at most this number of puzzles."""
    if not text.strip():
        raise UserError("the body is empty; send a puzzle.")
    if text.count("\n") > puzzles * LINES_A_ROW * board.rows:
        many = f"{puzzles} puzzle{'s' * (puzzles > 1)}"
        raise UserError(f"the text has too many lines for {many}; send fewer.")


def _read_json(text: str) -> tuple[Any, bool]:
    try:
        content = json.loads(text)
    except RecursionError as error:
        raise UserError("the JSON is nested too deeply; give lists of rows of cells.") from error
    except ValueError as error:
        raise UserError(
            f"the body is not JSON ({error}); send JSON, or puzzles as text/plain."
        ) from error
    if not isinstance(content, dict) or "puzzles" not in content:
        raise UserError('the JSON has no "puzzles"; send {"puzzles": [...]}.')
    unknown = [key for key in content if key not in KEYS]
    if unknown:
        raise UserError(f"the JSON has an unknown key {unknown[0]!r}; known are {', '.join(KEYS)}.")
    puzzles, trace = content["puzzles"], content.get("trace", False)
    if not isinstance(trace, bool):
        raise UserError('"trace" must be true or false.')
    if not isinstance(puzzles, str | list):
        raise UserError('"puzzles" must be a string or a list.')
    if not puzzles:
        raise UserError('"puzzles" is empty; send at least one.')
    if isinstance(puzzles, list):
        _check_cells(puzzles)
    return puzzles, trace


def _check_cells(puzzles: list[Any]) -> None:
    """Checks that all cells in nested lists are texts, or all whole numbers.

    Raises:
      UserError: a cell is something else; names the puzzle and the cell.
    """
    kinds: set[type] = set()
    for number, puzzle in enumerate(puzzles, 1):
        for place, (cell, depth) in enumerate(_leaves(puzzle, 1), 1):
            if depth > DEPTH:
                raise UserError(
                    f"Puzzle {number}: lists are nested deeper than puzzles, rows and cells."
                )
            kinds.add(type(cell))
            whole = isinstance(cell, int) and not isinstance(cell, bool)
            if not isinstance(cell, str) and not (whole and abs(cell) < MAX_CELL):
                raise UserError(
                    f"Puzzle {number}: cell {place} is {_short(cell)}; give text, or whole numbers."
                )
    if len(kinds) > 1:
        raise UserError("some cells are texts and others numbers; give all in one form.")


def _leaves(content: Any, depth: int) -> Any:
    """Yields all values in nested lists that are not lists, each with its depth."""
    if not isinstance(content, list):
        yield content, depth
        return
    if depth > DEPTH:
        yield content, depth + 1
        return
    for each in content:
        yield from _leaves(each, depth + 1)


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 20 else f"{text[:20]}..."


def _check_count(count: int, trace: bool, bounds: Bounds) -> None:
    most, what = bounds.puzzles, "a request"
    if trace:
        most, what = min(bounds.traces, most), "a request with traces"
    if count > most:
        raise UserError(
            f"{count:,} puzzles were sent, and {what} may have at most {most}; send fewer."
        )
