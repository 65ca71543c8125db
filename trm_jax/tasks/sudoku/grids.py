"""Reads all puzzles of a text: lines are joined until a grid is full."""

from collections.abc import Sequence

import numpy as np

from trm_jax.tasks.given import BadLineError, Given
from trm_jax.tasks.sudoku.alphabet import Alphabet, alphabet_of, ambiguous, usual
from trm_jax.tasks.sudoku.notation import Line, Style, read_lines


def read_grids(text: str, box_rows: int, side: int) -> list[Given]:
    """Reads the puzzles of a text, in any of the notations of `notation`.

    Args:
      text: content of a file or of standard input.
      box_rows: number of rows of a box.
      side: number of rows of a grid.

    Returns:
      The puzzles, with the numbers of their first lines; empty if there are none.

    Raises:
      BadLineError: a character is not a cell, or a line or puzzle has too few or too many cells.
    """
    lines, style = read_lines(text, side)
    filled = [line for line in lines if line.cells]
    alone = len(filled) == 1
    for line in filled:
        _check_characters(line, style.known, usual(side), side, alone)
    grids = _grids(lines, style, box_rows, alone)
    alphabet = alphabet_of(side, list(map(_cells, grids)))
    known = alphabet.tokens()
    found = []
    for grid in grids:
        for line in grid:
            _check_characters(line, known, alphabet, side, alone)
        first = grid[0].number
        if reason := ambiguous(_cells(grid), alphabet):
            raise BadLineError(first, f"{reason}.", alone=alone)
        tokens = np.asarray([known[cell] for cell in _cells(grid)], np.uint8)
        found.append(Given(first, tokens, alphabet.note))
    return found


def _grids(lines: Sequence[Line], style: Style, box_rows: int, alone: bool) -> list[list[Line]]:
    """Groups the lines by puzzle; a puzzle starts where the one before it is full."""
    side, size = style.side, style.size
    unit = _unit(lines, style)
    spread = _spread(lines)
    grids: list[list[Line]] = []
    open_lines: list[Line] = []
    for line in lines:
        have, more = len(_cells(open_lines)), len(line.cells)
        if not more:
            gap = line.raw.strip() or spread or (not (have // side) % box_rows and not have % side)
            if open_lines and (line.ends or not gap):
                raise _bad_count(open_lines[0].number, have, style, alone=alone, whole=True)
            continue
        if more % unit or have + more > size:
            whole = alone or more > side or not more % unit
            raise _bad_count(line.number, more, style, alone=alone, whole=whole)
        open_lines.append(line)
        if have + more == size:
            grids.append(open_lines)
            open_lines = []
    if open_lines:
        have = len(_cells(open_lines))
        raise _bad_count(open_lines[0].number, have, style, alone=alone, whole=True)
    return grids


def _cells(lines: Sequence[Line]) -> str:
    return "".join(line.cells for line in lines)


def _unit(lines: Sequence[Line], style: Style) -> int:
    """Number of cells that a line's cells are a multiple of: a row, or less if all lines agree."""
    counts = {len(line.cells) for line in lines if line.cells}
    least = min(counts, default=style.side)
    return least if len(counts) == 1 and style.side % least == 0 else style.side


def _spread(lines: Sequence[Line]) -> bool:
    """Whether an empty line follows each line with cells, and thus separates no puzzles."""
    filled = [bool(line.cells) for line in lines]
    return sum(filled) > 1 and not any(map(bool.__and__, filled, filled[1:]))


def _check_characters(
    line: Line, known: frozenset[str] | dict[str, int], alphabet: Alphabet, side: int, alone: bool
) -> None:
    character = next((cell for cell in line.cells if cell not in known), None)
    if character is None:
        return
    raise BadLineError(
        line.number,
        f"character {character!r} at place {line.raw.find(character) + 1} of the "
        f"{'puzzle' if alone else 'line'} is not a cell of a {side}x{side} Sudoku; use "
        f"{alphabet.words()}.",
        alone=alone,
    )


def _bad_count(line: int, cells: int, style: Style, *, alone: bool, whole: bool) -> BadLineError:
    side, size = style.side, style.size
    said = f"the puzzle has {cells} cells and a {side}x{side} Sudoku has {size}"
    if not whole:
        said = f"the line has {cells} cells, and a row of a {side}x{side} Sudoku has {side}"
    return BadLineError(line, f"{said}; write every cell, with '.' for a blank.", alone=alone)
