"""Reads puzzles from CSV columns (`source,question,answer,rating`), plain or gzipped.

Rows are checked in blocks with NumPy, and a line number is looked up only once something is wrong.
Every bad row is refused: none is skipped in silence.
"""

import csv
import gzip
import hashlib
import logging
import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from operator import itemgetter
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from trm_jax.core.errors import UserError
from trm_jax.core.randomness import mix

Grid = NDArray[np.uint8]

_BLOCK_CELLS = 2_654_208  # 32,768 rows of 81 cells


class Kind(NamedTuple):
    """What a puzzle of the file looks like.

    Attributes:
        cells: S, characters of a question and of an answer.
        table: token of each byte, uint8 [256]; 0 where a byte stands for no cell.
        symbols: what a cell may be, as an error says it after "use".
        other_size: what to change where rows have another length, as an error says it.
        first_wrong: takes questions and answers, uint8 [rows, S], and gives the first row that
            breaks a rule with a clause that says which; None if there is none.
    """

    cells: int
    table: Grid
    symbols: str
    other_size: str
    first_wrong: Callable[[Grid, Grid], tuple[int, str] | None]


def read_csv(path: str | os.PathLike[str], kind: Kind) -> tuple[Grid, Grid]:
    """Reads all puzzles of a file.

    Columns are found by name in the header line; those other than `question` and `answer` are
    ignored.

    Args:
        path: a CSV file, gzipped or not.
        kind: what its puzzles look like.

    Returns:
        Questions and answers, uint8 [M, S] tokens each, in the order of the file.

    Raises:
        UserError: the file or one of its rows is wrong; names the file, the line and the reason.
    """
    path = Path(path)
    questions: list[Grid] = []
    answers: list[Grid] = []
    done = 0
    for block in _blocks(path, max(1, _BLOCK_CELLS // kind.cells)):
        texts = list(zip(*block, strict=True))
        questions.append(_tokens(path, done, "question", texts[0], kind))
        answers.append(_tokens(path, done, "answer", texts[1], kind))
        wrong = kind.first_wrong(questions[-1], answers[-1])
        if wrong:
            row, clause = wrong
            raise UserError(
                f"{path}, line {_line(path, done + row)}: {clause}; mend or remove the row."
            )
        done += len(block)
    if not done:
        raise UserError(f"{path} has a header line but no puzzles; give a file with puzzles.")
    inputs = np.concatenate(questions)
    _check_duplicates(path, inputs, np.concatenate([_row_hashes(block) for block in questions]))
    return inputs, np.concatenate(answers)


def hub_file(repository: str, split: str) -> Path:
    """Downloads (once) a CSV file of a data set on the Hugging Face hub.

    Args:
        repository: its name there.
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
    # It reports each of its own retries, several times; the sentence below says it once.
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    try:
        return Path(hf_hub_download(repository, name, repo_type="dataset"))
    except Exception as error:  # its own, httpx's and the system's: they share no base class
        reason = str(error).strip().split("\n")[0].rstrip(".")
        raise UserError(
            f"{name} of {repository} could not be downloaded ({type(error).__name__}: {reason})"
            f"; on a machine with Internet fetch https://huggingface.co/datasets/{repository}/"
            f"resolve/main/{name}, copy it here and give its path as the source."
        ) from error


def file_facts(path: Path, repository: str | None) -> dict[str, Any]:
    """What a manifest says of a file as its source; `repository` where it is the hub's."""
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    facts = {"kind": "csv", "name": path.name, "sha256": digest}
    return facts | ({"kind": "hub", "repository": repository} if repository else {})


def _open(path: Path) -> IO[str]:
    with path.open("rb") as stream:
        zipped = stream.read(2) == b"\x1f\x8b" or path.suffix == ".gz"
    # A byte that is no UTF-8 becomes a character that no cell may have: refused with its line.
    if zipped:
        return gzip.open(path, "rt", encoding="utf-8-sig", errors="replace", newline="")
    return path.open(encoding="utf-8-sig", errors="replace", newline="")


def _blocks(path: Path, size: int) -> Iterator[list[tuple[str, str]]]:
    """Yields (question, answer) texts, `size` rows at a time."""
    done = 0
    try:
        with _open(path) as stream:
            reader = csv.reader(stream, strict=True)
            header = next(reader, [])
            pick = itemgetter(*_columns(path, header))
            while rows := list(islice(reader, size)):
                for index, row in enumerate(rows):
                    if len(row) != len(header):
                        raise UserError(
                            f"{path}, line {_line(path, done + index)}: the row has {len(row)} "
                            f"fields and the header {len(header)}; mend or remove the row."
                        )
                yield [pick(row) for row in rows]
                done += len(rows)
    except csv.Error as error:
        raise UserError(f"{path}, line {reader.line_num}: not valid CSV ({error}).") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(
            f"{path} is damaged or incomplete as a gzip file ({error}); fetch it again."
        ) from error
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); check the path.") from error


def _columns(path: Path, header: list[str]) -> tuple[int, int]:
    names = [name.strip().lower() for name in header]
    if not names:
        raise UserError(f"{path} is empty; it needs the header source,question,answer,rating.")
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"{path}, line 1: column '{name}' stands there twice; keep one.")
    for name in ("question", "answer"):
        if name not in names:
            raise UserError(
                f"{path}, line 1: there is no column '{name}' in {','.join(header)[:80]!r}; "
                "the header must be source,question,answer,rating."
            )
    return names.index("question"), names.index("answer")


def _line(path: Path, row: int) -> int:
    """Line of the file where a row of data (counted from 0) begins."""
    with _open(path) as stream:
        reader = csv.reader(stream)
        for _ in islice(reader, row + 1):
            pass
        return reader.line_num + 1


def _tokens(path: Path, done: int, name: str, texts: Sequence[str], kind: Kind) -> Grid:
    """Turns the texts of one column into tokens, uint8 [rows, S]; `done` rows came before them."""
    if set(map(len, texts)) != {kind.cells}:
        row = next(i for i, text in enumerate(texts) if len(text) != kind.cells)
        raise UserError(
            f"{path}, line {_line(path, done + row)}: the {name} has {len(texts[row])} characters "
            f"instead of {kind.cells}; mend or remove the row, or {kind.other_size}."
        )
    joined = "".join(texts).encode("latin-1", "replace").translate(kind.table.tobytes())
    tokens = np.frombuffer(joined, np.uint8).reshape(-1, kind.cells)
    if not tokens.all():
        row, cell = (int(index) for index in np.argwhere(tokens == 0)[0])
        raise UserError(
            f"{path}, line {_line(path, done + row)}: character {texts[row][cell]!r} at place "
            f"{cell + 1} of the {name} is no cell; use {kind.symbols}."
        )
    return tokens


def _check_duplicates(path: Path, questions: Grid, hashes: NDArray[np.uint64]) -> None:
    order = np.argsort(hashes, kind="stable")  # stable: equal rows stay in the file's order
    twins = np.flatnonzero(hashes[order[1:]] == hashes[order[:-1]])
    twins = twins[(questions[order[twins]] == questions[order[twins + 1]]).all(1)]
    if len(twins):
        where = int(twins[np.argmin(order[twins + 1])])
        first, second = (_line(path, int(row)) for row in order[where : where + 2])
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
