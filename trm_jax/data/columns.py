"""Finds the columns of a table with puzzles and answers, and repairs their fields."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from trm_jax.core.errors import UserError

QUESTION_NAMES = (
    *("question", "puzzle", "puzzles", "quiz", "quizzes", "sudoku", "maze", "problem"),
    *("unsolved", "mission", "board", "grid", "input", "inputs", "questions"),
)
ANSWER_NAMES = (
    *("answer", "answers", "solution", "solutions", "solved"),
    *("output", "outputs", "target", "targets", "label", "labels"),
)
"""Usual names of the columns, in any case."""
MAX_COLUMNS = 1000

_AROUND = " \t\r\n'\"=\u00a0\ufeff"
_SCIENTIFIC = re.compile(r"\d(?:[.,]\d*)?[eE]\+?\d+")


class Columns(NamedTuple):
    """The columns of a table.

    Attributes:
      question: index of the column with questions.
      answer: index of the column with answers.
      fields: number of fields of a row.
      named: whether the first row is a header.
      padded: whether there is a space before each field.
    """

    question: int
    answer: int
    fields: int
    named: bool = True
    padded: bool = False


def find_columns(path: Path, first: Sequence[str], cells: int) -> Columns:
    """Finds the columns of a table by their names in its first row.

    Without a header, the columns are those of the two fields with the length of a puzzle.

    Args:
      path: path of the file, for errors.
      first: the fields of the first row that is not empty.
      cells: number of cells of a puzzle.

    Raises:
      UserError: the columns cannot be found.
    """
    if not first:
        raise UserError(f"{path} is empty; it needs the header source,question,answer,rating.")
    if len(first) > MAX_COLUMNS:
        raise UserError(
            f"{path}, line 1: there are {len(first):,} columns, and at most {MAX_COLUMNS:,} are "
            "read; keep those with the question and the answer."
        )
    whole = [place for place, field in enumerate(first) if len(field.strip(_AROUND)) == cells]
    if len(whole) == 2:
        return Columns(whole[0], whole[1], len(first), named=False)
    if len(whole) == 1 and len(first) == 1:
        raise UserError(
            f"{path}, line 1: there is a puzzle without an answer, and no header; add the header "
            "question,answer and the answers (only `trm solve` reads puzzles without them)."
        )
    names = [name.strip(_AROUND).lower() for name in first]
    for name, count in Counter(names).items():
        if count > 1 and name in (*QUESTION_NAMES, *ANSWER_NAMES):
            raise UserError(f"{path}, line 1: there are two columns '{name}'; keep one.")
    places = []
    for what, known in (("questions", QUESTION_NAMES), ("answers", ANSWER_NAMES)):
        found = [names.index(name) for name in known if name in names]
        if not found:
            raise UserError(
                f"{path}, line 1: there is no column '{known[0]}' (or {', '.join(known[1:])}) in "
                f"{','.join(first)[:80]!r}; give the column with the {what} one of these names."
            )
        places.append(found[0])
    padded = all(name.startswith(" ") for name in first[1:])
    return Columns(places[0], places[1], len(first), padded=padded)


def named_place(names: Sequence[str], given: str, known: Sequence[str], where: str) -> int:
    """The index of a column by its name.

    Args:
      names: names of all columns, in any case, possibly with quotes and spaces around them.
      given: the name that the user gave; empty to look for the known names.
      known: the usual names of the column.
      where: place of the names, for errors.

    Raises:
      UserError: there is no such column, or there are two.
    """
    bare = [name.strip(_AROUND).lower() for name in names]
    wanted = [given.strip().lower()] if given else known
    found = next((name for name in wanted if name in bare), None)
    listed = ",".join(name.strip(_AROUND) for name in names)[:80]
    if found is None and given:
        raise UserError(f"{where}: there is no column {given!r} in {listed!r}; give one of these.")
    if found is None:
        raise UserError(
            f"{where}: there is no column {known[0]!r} (or {', '.join(known[1:])}) in {listed!r}; "
            "name the column that holds it, with --question or --answer."
        )
    if bare.count(found) > 1:
        raise UserError(f"{where}: there are two columns {found!r}; keep one.")
    return bare.index(found)


def tidy(field: str, cells: int, padding: str, *, padded: bool = False) -> str:
    """Removes what editors and spreadsheets add around a puzzle, and restores leading zeros.

    Args:
      field: the field in the file.
      cells: number of cells of a puzzle.
      padding: the digit for a blank, which spreadsheets drop in front of numbers; "" for none.
      padded: whether there is a space before each field.

    Returns:
      A text of `cells` characters if the field can be repaired, otherwise the field.
    """
    if padded and len(field) > cells:
        field = field.removeprefix(" ")
    if len(field) == cells:
        return field
    if len(bare := field.strip(_AROUND)) == cells:
        return bare
    digits = padding and bare.isascii() and bare.isdigit() and padding in bare
    # at most one row of zeros; if the field is something else, the answer will not fit
    return bare.zfill(cells) if digits and cells > len(bare) > cells - cells**0.5 else field


def length_problem(name: str, field: str, cells: int) -> str:
    """What is wrong with a field of the wrong length, in words; empty if nothing is known."""
    if _SCIENTIFIC.fullmatch(field.strip()):
        return (
            f"the {name} is {field.strip()}, a number that a spreadsheet has rounded, and its "
            "digits are lost; export the column as text"
        )
    if not field.strip():
        return f"the {name} is empty; fix or remove the row"
    return ""
