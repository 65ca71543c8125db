"""Reads Sudoku-Extreme's CSV columns (`source,question,answer,rating`), plain or gzipped.

Rows are checked in blocks with NumPy, and a line number is looked up only once something is wrong.
Every bad row is refused: none is skipped in silence.
"""

import csv
import gzip
import logging
import os
import zlib
from collections.abc import Iterator, Sequence
from itertools import islice
from operator import itemgetter
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from trm_jax.data.sudoku import Grid, Sudoku
from trm_jax.errors import UserError
from trm_jax.grids import FIRST_DIGIT, mix

HUB_REPOSITORY = "sapientinc/sudoku-extreme"
_BLOCK = 32_768


def read_csv(path: str | os.PathLike[str], sudoku: Sudoku) -> tuple[Grid, Grid]:
    """Reads all puzzles of a file.

    Columns are found by name in the header line; those other than `question` and `answer` are
    ignored. It is not checked that a puzzle has only one solution.

    Args:
        path: a CSV file, gzipped or not.
        sudoku: the shape of its puzzles.

    Returns:
        Questions and answers, uint8 [M, S] tokens each, in the order of the file.

    Raises:
        UserError: the file or one of its rows is wrong; names the file, the line and the reason.
    """
    path = Path(path)
    questions: list[Grid] = []
    answers: list[Grid] = []
    done = 0
    for block in _blocks(path):
        texts = list(zip(*block, strict=True))
        questions.append(_tokens(path, done, "question", texts[0], sudoku))
        answers.append(_tokens(path, done, "answer", texts[1], sudoku))
        _check_rules(path, done, questions[-1], answers[-1], sudoku)
        done += len(block)
    if not done:
        raise UserError(f"{path} has a header line but no puzzles; give a file with puzzles.")
    inputs = np.concatenate(questions)
    _check_duplicates(path, inputs, np.concatenate([_row_hashes(block) for block in questions]))
    return inputs, np.concatenate(answers)


def hub_file(split: str) -> Path:
    """Downloads (once) a file of Sudoku-Extreme from the Hugging Face hub.

    Args:
        split: "train" (719 MB) or "test" (79 MB).

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
            f"{HUB_REPOSITORY} needs the package huggingface_hub; "
            "install it with: pip install 'trm-jax[hub]'"
        ) from error
    # It reports each of its own retries, several times; the sentence below says it once.
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    try:
        return Path(hf_hub_download(HUB_REPOSITORY, name, repo_type="dataset"))
    except Exception as error:  # its own, httpx's and the system's: they share no base class
        reason = str(error).strip().split("\n")[0].rstrip(".")
        raise UserError(
            f"{name} of {HUB_REPOSITORY} could not be downloaded ({type(error).__name__}: {reason})"
            f"; on a machine with Internet fetch https://huggingface.co/datasets/{HUB_REPOSITORY}/"
            f"resolve/main/{name}, copy it here and give its path as the source."
        ) from error


def _open(path: Path) -> IO[str]:
    with path.open("rb") as stream:
        zipped = stream.read(2) == b"\x1f\x8b" or path.suffix == ".gz"
    # A byte that is no UTF-8 becomes a character that no cell may have: refused with its line.
    if zipped:
        return gzip.open(path, "rt", encoding="utf-8-sig", errors="replace", newline="")
    return path.open(encoding="utf-8-sig", errors="replace", newline="")


def _blocks(path: Path) -> Iterator[list[tuple[str, str]]]:
    """Yields (question, answer) texts, many rows at a time."""
    done = 0
    try:
        with _open(path) as stream:
            reader = csv.reader(stream, strict=True)
            header = next(reader, [])
            pick = itemgetter(*_columns(path, header))
            while rows := list(islice(reader, _BLOCK)):
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


def _tokens(path: Path, done: int, name: str, texts: Sequence[str], sudoku: Sudoku) -> Grid:
    """Turns the texts of one column into tokens, uint8 [rows, S]; `done` rows came before them."""
    if set(map(len, texts)) != {sudoku.cells}:
        row = next(i for i, text in enumerate(texts) if len(text) != sudoku.cells)
        raise UserError(
            f"{path}, line {_line(path, done + row)}: the {name} has {len(texts[row])} characters "
            f"instead of {sudoku.cells}; mend or remove the row, or give another box shape."
        )
    table = sudoku.token_table().tobytes()
    joined = "".join(texts).encode("latin-1", "replace").translate(table)
    tokens = np.frombuffer(joined, np.uint8).reshape(-1, sudoku.cells)
    if not tokens.all():
        row, cell = (int(index) for index in np.argwhere(tokens == 0)[0])
        raise UserError(
            f"{path}, line {_line(path, done + row)}: character {texts[row][cell]!r} at place "
            f"{cell + 1} of the {name} is no cell; use {sudoku.symbols[0]} to "
            f"{sudoku.symbols[-1]}, and '.' for a blank."
        )
    return tokens


def _check_rules(path: Path, done: int, questions: Grid, answers: Grid, sudoku: Sudoku) -> None:
    changed = ((questions >= FIRST_DIGIT) & (questions != answers)).any(1)
    bad = np.flatnonzero(changed | ~sudoku.valid_answers(answers))
    if len(bad):
        row = int(bad[0])
        reason = sudoku.check_answer(questions[row], answers[row])[0]
        raise UserError(
            f"{path}, line {_line(path, done + row)}: the answer does not solve the question "
            f"({reason}); mend or remove the row."
        )


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
