"""Reads grids in the usual text forms, and writes them in a form that can be read again."""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trm_jax.core.errors import UserError
from trm_jax.core.textfiles import parse_json
from trm_jax.data.columns import QUESTION_NAMES, named_place
from trm_jax.tasks.canvases import corner_sizes
from trm_jax.tasks.given import BadLineError, Given
from trm_jax.tasks.grid.cells import SEPARATORS, Rows, Style, row_texts, rows_of
from trm_jax.tasks.grid.vocabulary import NOTHING, Form

Tokens = NDArray[np.uint8]
_FRAME = re.compile(r"[\s│┌┬┐├┼┤└┴┘─]+")
_BARS = str.maketrans({"│": " "})


def write(form: Form, tokens: Tokens, names: Sequence[str]) -> str:
    """Writes a grid in one line, with spaces between words and a separator between canvas rows.

    Args:
      form: form of the grid.
      tokens: uint8 [S], token ids.
      names: text of each token.
    """
    between = " " if form.words else ""
    rows = [between.join(names[token] for token in row) for row in crop(form, tokens).tolist()]
    pad = between if form.row_end != "\n" else ""
    return f"{pad}{form.row_end}{pad}".join(rows) if form.canvas else between.join(rows)


def crop(form: Form, tokens: Tokens) -> Tokens:
    """The grid [rows, columns] of tokens [S]; on a canvas, the largest one in the corner."""
    grid = tokens.reshape(form.rows, form.columns)
    if not form.canvas:
        return grid
    rows, columns = corner_sizes(((grid != NOTHING) & (grid != form.outside))[None])
    return grid[: int(rows[0]), : int(columns[0])]


def lay(form: Form, rows: Rows) -> Tokens:
    """The tokens, uint8 [S], of a question given as rows of symbols.

    Raises:
      UserError: a symbol is unknown, or the grid has the wrong size.
    """
    cells = [symbol for row in rows for symbol in row]
    for place, symbol in enumerate(cells, 1):
        if symbol not in form.tokens:
            sort = "symbol" if form.words else "character"
            raise UserError(
                f"{sort} {symbol!r} at place {place} of the puzzle is not a symbol; use "
                f"{(' ' if form.words else '').join(form.symbols)}."
            )
    size = len(rows), len(rows[0])
    whole = size == (form.rows, form.columns) or (not form.canvas and len(cells) == form.cells)
    fits = form.canvas and size[0] <= form.rows and size[1] <= form.columns
    if (not whole and not fits) or len({len(row) for row in rows}) > 1:
        wanted = f"{form.rows} rows of {form.columns} cells"
        raise UserError(
            f"the puzzle has {len(cells)} cells in {size[0]} row{'s' * (size[0] > 1)}; write "
            f"{'at most ' if form.canvas else ''}{wanted}."
        )
    tokens = np.asarray([form.tokens[symbol] for symbol in cells], np.uint8)
    if whole:
        return tokens
    canvas = np.zeros((form.rows, form.columns), np.uint8)
    canvas[: size[0], : size[1]] = tokens.reshape(size)
    return canvas.reshape(-1)


def read_all(form: Form, text: str) -> list[Given]:
    """Reads all questions of a text: plain text, a table with a header, or JSON Lines.

    In plain text, lines are joined until a grid is complete. If grids differ in size, an empty line
    ends a grid, and a line with separators between rows is a whole grid. Drawings of `trm solve`
    can be read, too.

    Raises:
      BadLineError: a line is not part of a puzzle.
    """
    lines = [(n, line) for n, line in enumerate(text.removeprefix("\ufeff").splitlines(), 1)]
    filled = [(n, line) for n, line in lines if line.strip()]
    alone = len(filled) == 1
    found = []
    for number, rows in _values(form, text, lines, filled):
        try:
            found.append(Given(number, lay(form, rows)))
        except UserError as error:
            raise BadLineError(number, str(error), alone=alone) from error
    return found


def _values(
    form: Form, text: str, lines: Sequence[tuple[int, str]], filled: Sequence[tuple[int, str]]
) -> Iterator[tuple[int, Rows]]:
    style = Style(form.words, " " in form.tokens, form.row_end.strip())
    first = filled[0][1].strip() if filled else ""
    if first[:1] in "{[" and first[:1] and first[:1] not in form.tokens:
        for number, line in filled:
            yield number, _rows(form, _question(line, number), style, number)
    elif _names_columns(first):
        for number, value in _column(text.removeprefix("\ufeff"), _delimiter(first)):
            yield number, _rows(form, value, style, number)
    else:
        yield from _plain(form, lines)


def _column(text: str, delimiter: str) -> Iterator[tuple[int, str]]:
    """The questions of a table, each with the line that it begins in."""
    table = csv.reader(io.StringIO(text), delimiter=delimiter)
    begin = 1
    try:
        place = named_place(next(table), "", QUESTION_NAMES, "line 1")
        begin = table.line_num + 1
        for row in table:
            if any(map(str.strip, row)):
                yield begin, row[place] if len(row) > place else ""
            begin = table.line_num + 1
    except csv.Error as error:  # a field of more than 131,072 characters: a quote is not closed
        raise BadLineError(begin, f"not valid CSV ({error}).", alone=False) from error


def _rows(form: Form, value: Any, style: Style, number: int) -> Rows:
    try:
        if isinstance(value, str):
            return _split(form, value)
        return rows_of(value, style, f"line {number}", "question")
    except UserError as error:
        raise BadLineError(number, str(error), alone=True) from error


def _question(line: str, number: int) -> Any:
    """The question of a line of JSON."""
    try:
        entry = parse_json(line, f"line {number}")
    except UserError as error:
        raise BadLineError(number, str(error), alone=True) from error
    if not isinstance(entry, dict):
        return entry
    keys = list(map(str, entry))
    return entry[keys[named_place(keys, "", QUESTION_NAMES, f"line {number}")]]


def _delimiter(header: str) -> str:
    return next((mark for mark in ",;\t" if mark in header), ",")


def _names_columns(header: str) -> bool:
    names = {name.strip(" \"'").lower() for name in header.split(_delimiter(header))}
    return bool(names & set(QUESTION_NAMES))


def _plain(form: Form, lines: Sequence[tuple[int, str]]) -> Iterator[tuple[int, Rows]]:
    """Yields the grids of plain text, each with the number of its first line."""
    grid: list[Sequence[str]] = []
    begun = cells = 0
    for number, raw in lines:
        if _FRAME.fullmatch(raw) and raw.strip():
            continue  # of a drawing
        rows = _split(form, raw)
        if rows and raw.lstrip().startswith("#") and "#" not in form.tokens:
            continue  # a comment
        if form.canvas and len(rows) != 1 and grid:
            yield begun, grid
            grid, cells = [], 0
        if not rows:
            continue
        begun = begun if grid else number
        grid, cells = [*grid, *rows], cells + sum(map(len, rows))
        if len(rows) > 1 or (not form.canvas and cells >= form.cells):
            yield begun, grid
            grid, cells = [], 0
    if grid:
        yield begun, grid


def _split(form: Form, text: str) -> list[Sequence[str]]:
    """The rows of a text: its lines, or the parts of lines with separators between rows."""
    parts = row_texts(text, form.row_end.strip())
    return [row for part in parts if (row := _cells_of(form, part))]


def _cells_of(form: Form, text: str) -> Sequence[str]:
    if form.words:
        return [cell for cell in SEPARATORS.split(text.translate(_BARS)) if cell]
    if " " in form.tokens:
        return text.strip("\r\n")
    bare = text.strip() if "│" in form.tokens else text.translate(_BARS).strip()
    keep = [cell for cell in bare if cell in form.tokens or not SEPARATORS.fullmatch(cell)]
    return "".join(keep)
