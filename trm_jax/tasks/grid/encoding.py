"""Checks pairs from files and encodes them as arrays of tokens."""

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from trm_jax.core.errors import UserError
from trm_jax.core.symmetries import FIRST_DIGIT
from trm_jax.data.columns import length_problem
from trm_jax.tasks.grid.cells import ROW_END, Rows, Style, rows_of, style_of
from trm_jax.tasks.grid.pairs import Pair
from trm_jax.tasks.grid.vocabulary import BLANK, NOTHING, Form, check_symbols, in_order

Tokens = NDArray[np.uint8]

MAX_CELLS = 1_000_000
"""Of a grid, or of the canvas for grids of different sizes."""


class Wanted(NamedTuple):
    """The form of the grids as far as the user gives it; the rest is inferred.

    Attributes:
      rows: number of rows; 0 to infer it.
      columns: number of columns; 0 to infer it.
      symbols: all symbols, including the blank; empty to infer them.
      blank: the only symbol that answers change; empty to infer it.
      canvas: whether grids differ in size.
      split: how texts are split into cells, one of `cells.SPLITS`.
    """

    rows: int = 0
    columns: int = 0
    symbols: tuple[str, ...] = ()
    blank: str = ""
    canvas: bool = False
    split: str = "auto"


class Encoded(NamedTuple):
    """Pairs as tokens.

    Attributes:
      questions: uint8 [m, S], token ids.
      answers: uint8 [m, S], token ids.
      form: form of the grids.
      repeated: number of rows that were left out as duplicates of earlier ones.
    """

    questions: Tokens
    answers: Tokens
    form: Form
    repeated: int


class _Read(NamedTuple):
    place: str
    question: Rows
    answer: Rows


def encode(pairs: Sequence[Pair], wanted: Wanted, source: str) -> Encoded:
    """Infers the form of pairs as far as it is not given, and checks and encodes them.

    Args:
      pairs: at least one pair.
      wanted: the form as far as it is given.
      source: name of the source, for errors.

    Raises:
      UserError: a pair is malformed, or contradicts another one; names its place.
    """
    row_end = ROW_END if wanted.canvas else ""
    read = _read(pairs, style_of((pair.question for pair in pairs), wanted.split, row_end))
    rows, columns = _size(read, wanted)
    if rows * columns > MAX_CELLS:
        raise UserError(
            f"{source} has grids of {rows:,}x{columns:,} cells, and at most {MAX_CELLS:,} cells "
            "are possible; give smaller ones."
        )
    symbols = _symbols(read, wanted, source)
    draft = Form(rows, columns, symbols, canvas=wanted.canvas)
    questions, answers = _tokens(read, draft)
    form = _with_blank(draft, questions, answers, wanted, read)
    # the blank becomes token 1, and later tokens move up by one
    table = [NOTHING, BLANK, *(form.tokens[symbol] for symbol in symbols), form.outside]
    questions, answers = (np.asarray(table, np.uint8)[array] for array in (questions, answers))
    return _once(questions, answers, form, [each.place for each in read])


def encode_known(pairs: Sequence[Pair], form: Form, split: str) -> Encoded:
    """Checks and encodes pairs of a known form.

    Raises:
      UserError: a pair is malformed, has another form or contradicts another; names its place.
    """
    style = style_of((pair.question for pair in pairs), split, form.row_end.strip())
    if form.words:
        style = style._replace(words=True)
    read = _read(pairs, style)
    questions, answers = _tokens(read, form)
    return _once(questions, answers, form, [each.place for each in read])


def _read(pairs: Sequence[Pair], style: Style) -> list[_Read]:
    return [
        _Read(
            place,
            rows_of(question, style, place, "question"),
            rows_of(answer, style, place, "answer"),
        )
        for place, question, answer in pairs
    ]


def _size(read: Sequence[_Read], wanted: Wanted) -> tuple[int, int]:
    """Rows and columns: as given, or the most common size of a question.

    A question in one line becomes a square if possible. Grids of another size are found later, when
    each one is encoded.
    """
    if wanted.rows and wanted.columns:
        return wanted.rows, wanted.columns
    sizes = Counter((len(each.question), len(each.question[0])) for each in read)
    if wanted.canvas:
        sizes.update((len(each.answer), len(each.answer[0])) for each in read)
        rows, columns = (max(size[axis] for size in sizes) for axis in range(2))
        return wanted.rows or rows, wanted.columns or columns
    rows, columns = sizes.most_common(1)[0][0]
    cells = rows * columns
    if wanted.rows or wanted.columns:
        one = wanted.rows or wanted.columns
        if cells % one:
            raise UserError(
                f"{read[0].place}: the question has {cells} cells, which cannot be split into "
                f"{one} {'rows' if wanted.rows else 'columns'}; give the right number."
            )
        return (one, cells // one) if wanted.rows else (cells // one, one)
    side = int(cells**0.5)
    return (side, side) if rows == 1 and side**2 == cells else (rows, columns)


def _symbols(read: Sequence[_Read], wanted: Wanted, source: str) -> tuple[str, ...]:
    if wanted.symbols:
        check_symbols(wanted.symbols, "symbols", canvas=wanted.canvas)
        return tuple(dict.fromkeys(wanted.symbols))
    found: set[str] = set()
    for _, question, answer in read:
        found.update(*question, *answer)
    check_symbols(sorted(found), source, canvas=wanted.canvas)
    return in_order(found)


def _tokens(read: Sequence[_Read], form: Form) -> tuple[Tokens, Tokens]:
    """Questions and answers as tokens, uint8 [m, S] each."""
    inputs = _laid_out(read, form, "question", NOTHING)
    labels = _laid_out(read, form, "answer", form.outside)
    if form.blank and (labels == BLANK).any():
        row = int((labels == BLANK).any(axis=1).argmax())
        raise UserError(
            f"{read[row].place}: the answer has the blank {form.blank!r}; fix or remove the row."
        )
    if form.open and not form.canvas:
        changed = ~np.isin(inputs, form.open_tokens()) & (inputs != labels)
        _refuse_first(changed, read, lambda row: _changed(form, inputs[row], labels[row]))
    return inputs, labels


def _laid_out(read: Sequence[_Read], form: Form, what: str, around: int) -> Tokens:
    """Tokens of all questions or answers, uint8 [m, S]."""
    tokens, found = form.tokens, np.full((len(read), form.rows, form.columns), around, np.uint8)
    flat, size = form.cells, (form.rows, form.columns)
    for number, each in enumerate(read):
        rows = each.question if what == "question" else each.answer
        high, wide = len(rows), len(rows[0])
        fits = (high, wide) == size or (not form.canvas and high == 1 and wide == flat)
        if not fits and not (form.canvas and high <= form.rows and wide <= form.columns):
            raise UserError(f"{each.place}: {_misfit(what, rows, form, each)}.")
        try:
            cells = bytes(map(tokens.__getitem__, chain.from_iterable(rows)))
        except KeyError as error:
            raise UserError(
                f"{each.place}: {error.args[0]!r} in the {what} is not a symbol; use "
                f"{' '.join(form.symbols)}."
            ) from error
        grid = np.frombuffer(cells, np.uint8)
        if fits:
            found[number] = grid.reshape(size)
        else:
            found[number, :high, :wide] = grid.reshape(high, wide)
    return found.reshape(len(read), flat)


def _misfit(what: str, rows: Rows, form: Form, each: _Read) -> str:
    """Why a grid does not have the size of the form, in words."""
    high, wide = len(rows), len(rows[0])
    size = f"{form.rows}x{form.columns}"
    text = "".join(rows[0]) if high == 1 else ""
    if high == 1 and (problem := length_problem(what, text, form.cells)):
        return problem
    if form.canvas:
        return f"the {what} has {high}x{wide} cells, and the largest grid may have {size}"
    if what == "answer" and len(each.question) * len(each.question[0]) == form.cells:
        dropped = high == 1 and "".join(each.question[0]).isdigit() and wide > form.cells
        remedy = (
            "if a spreadsheet dropped zeros in front of it, export the column as text"
            if dropped
            else "fix or remove the row, or, if sizes of answers are to be found, set canvas"
        )
        return f"the answer has {_cells(high, wide)} and the question {form.cells}; {remedy}"
    zeros = isinstance(rows[0], str) and text.isdigit() and "0" in form.tokens
    if zeros and form.cells - form.columns <= wide < form.cells:
        return (
            f"the {what} has {wide} cells instead of {form.cells}; if a spreadsheet dropped the "
            "zeros in front of it, export the column as text"
        )
    return (
        f"the {what} has {_cells(high, wide)} instead of {form.cells} ({size}); fix or remove the "
        "row, or, if grids differ in size, set canvas"
    )


def _cells(rows: int, columns: int) -> str:
    return f"{rows}x{columns} cells" if rows > 1 else f"{columns} cells"


def _with_blank(
    draft: Form, questions: Tokens, answers: Tokens, wanted: Wanted, read: Sequence[_Read]
) -> Form:
    """The form with its blank, the only symbol that answers change.

    Args:
      draft: the form without a blank.
      questions: uint8 [m, S], tokens of `draft`.
      answers: uint8 [m, S], tokens of `draft`.
      wanted: its `blank`, if it is given.
      read: the pairs, for errors.
    """
    both = (questions != NOTHING) & (answers != draft.outside if draft.canvas else True)
    changed = both & (questions != answers)
    if draft.canvas and ((questions == NOTHING) != (answers == draft.outside)).any():
        return draft  # sizes change, so any cell may
    if wanted.blank:
        if wanted.blank not in draft.tokens:
            raise UserError(
                f"blank is {wanted.blank!r}, which no question has; their symbols are "
                f"{' '.join(draft.alphabet)}."
            )
        token = draft.tokens[wanted.blank]
        kept = Form(draft.rows, draft.columns, draft.alphabet, "", (wanted.blank,), draft.canvas)
        _refuse_first(
            changed & (questions != token),
            read,
            lambda row: _changed(kept, questions[row], answers[row]),
        )
    tokens = np.unique(questions[changed])
    if len(tokens) != 1:
        return draft
    blank = draft.alphabet[int(tokens[0]) - FIRST_DIGIT]
    if (answers == tokens[0]).any():
        return Form(draft.rows, draft.columns, draft.alphabet, "", (blank,), draft.canvas)
    rest = tuple(symbol for symbol in draft.alphabet if symbol != blank)
    return Form(draft.rows, draft.columns, rest, blank, (blank,), draft.canvas)


def _changed(form: Form, question: Tokens, answer: Tokens) -> str:
    """The first change of a pair that is not allowed, in words."""
    place = int((~np.isin(question, form.open_tokens()) & (question != answer)).argmax())
    names = {token: symbol for symbol, token in form.tokens.items()}
    return (
        f"the answer changes {names[int(question[place])]!r} in cell {place + 1} to "
        f"{names.get(int(answer[place]), 'nothing')!r}, and only {' '.join(form.open)} may change; "
        "fix or remove the row"
    )


def _refuse_first(bad: NDArray[np.bool_], read: Sequence[_Read], why: Callable[[int], str]) -> None:
    """Raises a UserError for the first row of `bad`, [m, S], that has a True cell."""
    rows = bad.any(axis=1)
    if rows.any():
        row = int(rows.argmax())
        raise UserError(f"{read[row].place}: {why(row)}.")


def _once(questions: Tokens, answers: Tokens, form: Form, places: Sequence[str]) -> Encoded:
    """Keeps each question once.

    Raises:
      UserError: a question has two different answers.
    """
    keys = np.ascontiguousarray(questions).view(np.dtype((np.void, questions.shape[1]))).reshape(-1)
    _, first, groups = np.unique(keys, return_index=True, return_inverse=True)
    before = first[groups]  # the first row with the same question
    other = (answers != answers[before]).any(axis=1)
    if other.any():
        row, count = int(other.argmax()), len(np.unique(before[other]))
        raise UserError(
            f"{places[row]}: the question is the same as in {places[before[row]]} and the answer "
            f"differs; {count:,} question{'s have' if count > 1 else ' has'} several answers. Keep "
            "one answer of each, or add to the question what distinguishes them."
        )
    kept = np.sort(first)
    return Encoded(questions[kept], answers[kept], form, len(questions) - len(kept))
