"""Reads puzzles from CSV columns (`source,question,answer,rating`), plain or gzipped.

Rows are checked in blocks with NumPy; line numbers are only determined for errors. Every malformed
row is refused, and none is skipped silently.
"""

import csv
import gzip
import hashlib
import logging
import os
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from trm_jax.core.errors import UserError
from trm_jax.core.randomness import mix
from trm_jax.core.textfiles import GZIP, bounded_lines, check_file, refuse_encoding
from trm_jax.data.columns import Columns, find_columns, length_problem, tidy

Grid = NDArray[np.uint8]

MAX_EMPTY = 100_000
"""Max number of consecutive empty lines."""
_BLOCK_CELLS = 2_654_208  # 32,768 rows of 81 cells


class Kind(NamedTuple):
    """The format of a file's puzzles.

    Attributes:
        cells: S, number of characters of a question and of an answer.
        table: takes the first answers of the file, from which it may infer the notation, and
            returns the token of each byte, uint8 [256]; 0 for bytes that are not symbols.
        symbols: the symbols of a cell, as an error lists them after "use".
        other_size: remedy for rows of another length, as it is worded in an error.
        first_wrong: takes questions and answers, uint8 [rows, S], and returns the first row that
            breaks a rule and a clause with the reason; None if there is none.
        first_unclear: takes the bytes of questions, uint8 [rows, S], and the table, and returns the
            first ambiguous row and a clause with the reason; None if there is none.
        padding: the leading character that spreadsheets drop from a question; "" for none.
    """

    cells: int
    table: Callable[[Sequence[str]], Grid]
    symbols: str
    other_size: str
    first_wrong: Callable[[Grid, Grid], tuple[int, str] | None]
    first_unclear: Callable[[Grid, Grid], tuple[int, str] | None] = lambda raw, table: None
    padding: str = ""


def read_csv(path: str | os.PathLike[str], kind: Kind) -> tuple[Grid, Grid]:
    """Reads all puzzles of a file.

    The columns of questions and answers are found by their names in the header, see `columns`.
    Other columns and empty lines are ignored.

    Args:
        path: a CSV file, gzipped or not.
        kind: format of its puzzles.

    Returns:
        Questions and answers, tokens uint8 [M, S] each, in the order of the file.

    Raises:
        UserError: the file or one of its rows is malformed; names file, line and reason.
    """
    path = Path(path)
    questions: list[Grid] = []
    answers: list[Grid] = []
    done = 0
    table: Grid | None = None
    for block in _blocks(path, max(1, _BLOCK_CELLS // kind.cells), kind):
        texts = list(zip(*block, strict=True))
        table = kind.table(texts[1]) if table is None else table
        raw, asked = _tokens(path, done, "question", texts[0], kind, table)
        _, answered = _tokens(path, done, "answer", texts[1], kind, table)
        wrong = kind.first_unclear(raw, table) or kind.first_wrong(asked, answered)
        if wrong:
            row, clause = wrong
            line = _line(path, done + row, kind)
            raise UserError(f"{path}, line {line}: {clause}; fix or remove the row.")
        questions.append(asked)
        answers.append(answered)
        done += len(block)
    if not done:
        raise UserError(f"{path} has a header line but no puzzles; give a file with puzzles.")
    inputs = np.concatenate(questions)
    hashes = np.concatenate([_row_hashes(block) for block in questions])
    _check_duplicates(path, inputs, hashes, kind)
    return inputs, np.concatenate(answers)


def hub_file(repository: str, split: str) -> Path:
    """Downloads a CSV file of a dataset on the Hugging Face hub, unless it is cached.

    Args:
        repository: name of the dataset on the hub.
        split: "train" or "test".

    Returns:
        The path of the CSV file in the hub's cache on this machine.

    Raises:
        UserError: the extra `hub` is not installed, or the hub cannot be reached.
    """
    name = f"{split}.csv"
    try:
        from huggingface_hub import hf_hub_download
    except ImportError as error:
        raise UserError(
            f"{repository} needs the package huggingface_hub; "
            "install it with: pip install 'trm-jax[hub]'"
        ) from error
    # the hub's client logs each of its retries several times; one sentence below is enough
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    try:
        return Path(hf_hub_download(repository, name, repo_type="dataset"))
    except Exception as error:  # those of httpx and of the system share no base class
        reason = str(error).strip().split("\n")[0].rstrip(".")
        raise UserError(
            f"{name} of {repository} could not be downloaded ({type(error).__name__}: {reason})"
            f"; on a machine with Internet fetch https://huggingface.co/datasets/{repository}/"
            f"resolve/main/{name}, copy it here and give its path as the source."
        ) from error


def file_facts(path: Path, repository: str | None) -> dict[str, Any]:
    """The manifest's facts about a source file; `repository` if it is from the hub."""
    check_file(path)
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    facts = {"kind": "csv", "name": path.name, "sha256": digest}
    return facts | ({"kind": "hub", "repository": repository} if repository else {})


def _open(path: Path) -> tuple[IO[str], int]:
    """The text of a file, and its size in bytes if it is gzipped, otherwise 0.

    Raises:
        UserError: it is not a regular file, or has another encoding than UTF-8.
    """
    size = check_file(path)
    with path.open("rb") as stream:
        head = stream.read(4096)
    # bytes that are not UTF-8 become a character that is not a symbol, so their line is refused
    if head.startswith(GZIP) or path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", errors="replace", newline=""), size
    refuse_encoding(head, path)
    return path.open(encoding="utf-8-sig", errors="replace", newline=""), 0


class _Rows:
    """The rows of a file that are not empty; `begin` is the line in which the last one begins."""

    def __init__(self, path: Path, stream: IO[str], packed: int) -> None:
        self.path, self.begin = path, 0
        lines = bounded_lines(stream, path, packed)
        first = next(lines, "")
        delimiter = next((mark for mark in ",;\t" if mark in first), ",")
        self.reader = csv.reader(chain([first], lines), delimiter=delimiter, strict=True)

    def __iter__(self) -> Iterator[list[str]]:
        empty = end = 0
        for row in self.reader:
            self.begin, end = end + 1, self.reader.line_num
            empty = 0 if any(map(str.strip, row)) else empty + 1
            if empty > MAX_EMPTY:
                raise UserError(
                    f"{self.path}, line {self.reader.line_num}: this is empty line number "
                    f"{empty:,} in a row; remove them."
                )
            if not empty:
                yield row


def numbered_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The non-empty rows of a CSV file, each with the number of its first line.

    Raises:
        UserError: the file cannot be read, or is not a CSV file in UTF-8.
    """
    rows: _Rows | None = None
    try:
        stream, packed = _open(path)
        with stream:
            rows = _Rows(path, stream, packed)
            for row in rows:
                yield rows.begin, row
    except csv.Error as error:
        line = rows.reader.line_num if rows else 1
        raise UserError(f"{path}, line {line}: not valid CSV ({error}).") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(
            f"{path} is damaged or incomplete as a gzip file ({error}); download it again."
        ) from error
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); check the path.") from error


def _blocks(path: Path, size: int, kind: Kind) -> Iterator[list[tuple[str, str]]]:
    """Yields (question, answer) texts, `size` rows at a time."""
    done = 0
    found = (row for _, row in numbered_rows(path))
    first = next(found, [])
    columns = find_columns(path, first, kind.cells)
    rows = found if columns.named else chain([first], found)
    while block := list(islice(rows, size)):
        yield _pairs(path, done, block, columns, kind)
        done += len(block)


def _pairs(
    path: Path, done: int, block: list[list[str]], columns: Columns, kind: Kind
) -> list[tuple[str, str]]:
    """Questions and answers of a block of rows, which comes after `done` others."""
    asked, answered, count = columns.question, columns.answer, columns.fields
    cells = kind.cells
    return [
        (row[asked], row[answered])
        if len(row) == count and len(row[asked]) == len(row[answered]) == cells
        else _pick(path, done + index, row, columns, kind)
        for index, row in enumerate(block)
    ]


def _pick(path: Path, place: int, row: list[str], columns: Columns, kind: Kind) -> tuple[str, str]:
    """Question and answer of a row; fields after them may be missing, and extra ones empty."""
    texts = [
        tidy(row[column], kind.cells, padding, padded=columns.padded) if column < len(row) else ""
        for column, padding in ((columns.question, kind.padding), (columns.answer, ""))
    ]
    short = len(row) < columns.fields and {len(text) for text in texts} != {kind.cells}
    if short or any(map(str.strip, row[columns.fields :])):
        raise UserError(
            f"{path}, line {_line(path, place, kind)}: the row has {len(row)} fields and the "
            f"header {columns.fields}; fix or remove the row."
        )
    return texts[0], texts[1]


def _line(path: Path, row: int, kind: Kind) -> int:
    """Number of the line in which a row of data, counted from 0, begins."""
    found = numbered_rows(path)
    line, first = next(found, (0, []))
    named = find_columns(path, first, kind.cells).named
    return next(islice(chain([(line, first)], found), row + named, None), (line, first))[0]


def _tokens(
    path: Path, done: int, name: str, texts: Sequence[str], kind: Kind, table: Grid
) -> tuple[Grid, Grid]:
    """The texts of a column as bytes and as tokens, uint8 [rows, S]; after `done` other rows."""
    if set(map(len, texts)) != {kind.cells}:
        row = next(i for i, text in enumerate(texts) if len(text) != kind.cells)
        problem = length_problem(name, texts[row], kind.cells) or (
            f"the {name} has {len(texts[row])} characters instead of {kind.cells}; fix or remove "
            f"the row, or {kind.other_size}"
        )
        raise UserError(f"{path}, line {_line(path, done + row, kind)}: {problem}.")
    # other characters become byte 0, which is not a symbol; "?", the usual choice, may be one
    raw = re.sub(r"[^\x00-\xff]", "\0", "".join(texts)).encode("latin-1")
    tokens = np.frombuffer(raw.translate(table.tobytes()), np.uint8).reshape(-1, kind.cells)
    if not tokens.all():
        row, cell = (int(index) for index in np.argwhere(tokens == 0)[0])
        raise UserError(
            f"{path}, line {_line(path, done + row, kind)}: character {texts[row][cell]!r} at "
            f"place {cell + 1} of the {name} is not a symbol; use {kind.symbols}."
        )
    return np.frombuffer(raw, np.uint8).reshape(-1, kind.cells), tokens


def _check_duplicates(path: Path, questions: Grid, hashes: NDArray[np.uint64], kind: Kind) -> None:
    order = np.argsort(hashes, kind="stable")  # stable: equal rows stay in the file's order
    twins = np.flatnonzero(hashes[order[1:]] == hashes[order[:-1]])
    twins = twins[(questions[order[twins]] == questions[order[twins + 1]]).all(1)]
    if len(twins):
        where = int(twins[np.argmin(order[twins + 1])])
        first, second = (_line(path, int(row), kind) for row in order[where : where + 2])
        raise UserError(
            f"{path}, line {second}: the question is the same as in line {first}; remove the row."
        )


def _row_hashes(tokens: Grid) -> NDArray[np.uint64]:
    """64-bit hash of each row, uint64 [rows]."""
    width = -(-tokens.shape[1] // 8) * 8
    padded = np.zeros((len(tokens), width), np.uint8)
    padded[:, : tokens.shape[1]] = tokens
    hashes = np.zeros(len(tokens), np.uint64)
    for word in padded.view("<u8").T:
        hashes = mix(hashes ^ word)
    return hashes
