"""Reads pairs of a question and an answer from files of the usual formats."""

import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from trm_jax.core.errors import UserError
from trm_jax.core.textfiles import check_file, parse_json, read_text
from trm_jax.data.columns import ANSWER_NAMES, MAX_COLUMNS, QUESTION_NAMES, named_place
from trm_jax.data.csv_rows import numbered_rows
from trm_jax.tasks.grid.cells import SEPARATORS

SUFFIXES = (".csv", ".tsv", ".csv.gz", ".tsv.gz", ".jsonl", ".jsonl.gz", ".ndjson", ".json", ".npz")
SET_APART = ("test", "val", "dev", "heldout", "eval")
"""Prefixes of the names of files that must not be trained on."""
BAD_BYTE = "\ufffd"
"""Replacement of a byte that is not UTF-8 in the text of a table."""
_ENTRIES = ("data", "examples", "pairs", "train", "puzzles")


class Pair(NamedTuple):
    """A question and its answer as read from a file.

    Attributes:
      place: place in the file, as in "pairs.csv, line 3".
      question: a text, or a list of cells or of rows.
      answer: a text, or a list of cells or of rows.
    """

    place: str
    question: Any
    answer: Any


class Names(NamedTuple):
    """Names of the columns or keys of questions and answers; empty for the usual names."""

    question: str = ""
    answer: str = ""


def read_pairs(source: Path, names: Names) -> Iterator[Pair]:
    """Yields the pairs of a file, or of all files of a folder in the order of their names.

    Raises:
      UserError: a file cannot be read, or has no pairs; names the place.
    """
    for path in _files(source):
        yield from _reader(path)(path, names)


def source_files(source: Path) -> list[Path]:
    """The files that `read_pairs` reads."""
    return _files(source)


def _files(source: Path) -> list[Path]:
    if not source.is_dir():
        check_file(source)
        return [source]
    found = sorted(path for path in source.iterdir() if path.name.lower().endswith(SUFFIXES))
    if not found:
        raise UserError(f"{source} holds no file that ends in {', '.join(SUFFIXES)}; give another.")
    apart = [path for path in found if path.name.lower().startswith(SET_APART)]
    if apart and len(found) > len(apart):
        raise UserError(
            f"{apart[0]} has the name of puzzles that are not trained on, and lies among files "
            "that are; move it elsewhere, and score on it with `trm eval --data FILE`."
        )
    return found


def _reader(path: Path) -> Any:
    name = path.name.lower().removesuffix(".gz")
    if name.endswith(".npz"):
        if path.name.lower().endswith(".gz"):
            raise UserError(f"{path} is a gzipped .npz file; unpack it first, with gunzip.")
        return _of_arrays
    if name.endswith((".jsonl", ".ndjson")):
        return _of_lines
    return _of_json if name.endswith(".json") else _of_table


def _of_table(path: Path, names: Names) -> Iterator[Pair]:
    rows = numbered_rows(path)
    line, first = next(rows, (0, []))
    if not first:
        raise UserError(f"{path} is empty; give a file with columns question and answer.")
    if len(first) > MAX_COLUMNS:
        raise UserError(f"{path}, line {line}: there are more than {MAX_COLUMNS:,} columns.")
    question, answer = 0, 1
    odd: set[str] = set()  # symbols of a first row that may be a header
    if _is_pair(first) and not any(names):
        odd = _symbols(first)
        yield Pair(f"{path}, line {line}", *first)
    else:
        where = f"{path}, line {line}"
        question = named_place(first, names.question, QUESTION_NAMES, where)
        answer = named_place(first, names.answer, ANSWER_NAMES, where)
        _refuse_same(question, answer, first, where)
    last = max(question, answer)
    others, begun = False, line
    for line, row in rows:
        if len(row) <= last or any(map(str.strip, row[len(first) :])):
            raise UserError(
                f"{path}, line {line}: the row has {len(row)} fields and the first row "
                f"{len(first)}; fix or remove the row."
            )
        if BAD_BYTE in row[question] or BAD_BYTE in row[answer]:
            raise UserError(
                f"{path}, line {line}: there is a byte that is not UTF-8 (the file may be in "
                "Latin-1 or Windows-1252); save it as UTF-8."
            )
        others = True
        if odd and odd & _symbols(row):
            odd = set()
        yield Pair(f"{path}, line {line}", row[question], row[answer])
    if odd and others:
        raise UserError(
            f"{path}, line {begun}: no symbol of {','.join(first)[:80]!r} occurs in another row; "
            "if it is a header, name its columns with --question and --answer, or remove it; if it "
            "is a puzzle, put the header question,answer above it."
        )


def _refuse_same(question: int, answer: int, names: Sequence[str], where: str) -> None:
    if question == answer:
        raise UserError(
            f"{where}: questions and answers are both {names[question]!r}; name the column of the "
            "answers with --answer."
        )


def _symbols(row: Sequence[str]) -> set[str]:
    """The characters of a row's fields, without those that separate cells."""
    return set(SEPARATORS.sub("", "".join(row)))


def _is_pair(row: Sequence[str]) -> bool:
    """Whether the first row of a table is a pair of grids, not a header."""
    known = {*QUESTION_NAMES, *ANSWER_NAMES}
    return (
        len(row) == 2
        and len(row[0]) == len(row[1]) > 3
        and not known & {field.strip().lower() for field in row}
    )


def _of_lines(path: Path, names: Names) -> Iterator[Pair]:
    # not splitlines: JSON texts may have the line separator U+2028 in them
    for number, line in enumerate(read_text(path).split("\n"), 1):
        if line.strip():
            where = f"{path}, line {number}"
            yield _of_entry(parse_json(line, where), where, names)


def _of_json(path: Path, names: Names) -> Iterator[Pair]:
    text = read_text(path)
    if (first := text.lstrip()[:1]) and first not in "[{<":  # '<': of a web page
        raise UserError(
            f"{path} begins with {first!r}, and JSON with pairs begins with '[' or '{{'; if it is "
            "a table, rename it so that it ends in .csv."
        )
    lines = text.strip().splitlines()
    if len(lines) > 1 and all(line.startswith("{") and line.endswith("}") for line in lines[:2]):
        yield from _of_lines(path, names)  # JSON Lines under another name
        return
    found = parse_json(text, path)
    if isinstance(found, Mapping):
        found = next((found[key] for key in _ENTRIES if isinstance(found.get(key), list)), found)
    if not isinstance(found, list):
        raise UserError(
            f"{path} holds a {type(found).__name__}; give a list of objects with the keys question "
            "and answer, or one such object a line."
        )
    for number, entry in enumerate(found, 1):
        where = f"{path}, entry {number}"
        yield _of_entry(entry, where, names)


def _of_entry(entry: Any, where: str, names: Names) -> Pair:
    if isinstance(entry, list) and len(entry) == 2 and not any(names):
        return Pair(where, *entry)
    if not isinstance(entry, Mapping):
        raise UserError(
            f"{where}: it is a {type(entry).__name__}; give an object with the keys question and "
            "answer."
        )
    keys = list(map(str, entry))
    question = named_place(keys, names.question, QUESTION_NAMES, where)
    answer = named_place(keys, names.answer, ANSWER_NAMES, where)
    _refuse_same(question, answer, keys, where)
    return Pair(where, entry[keys[question]], entry[keys[answer]])


def _of_arrays(path: Path, names: Names) -> Iterator[Pair]:
    try:
        with path.open("rb") as file, np.lib.npyio.NpzFile(file, allow_pickle=False) as found:
            keys = list(found.files)
            question = named_place(keys, names.question, QUESTION_NAMES, str(path))
            answer = named_place(keys, names.answer, ANSWER_NAMES, str(path))
            _refuse_same(question, answer, keys, str(path))
            questions, answers = (_characters(found[keys[place]]) for place in (question, answer))
    except (OSError, ValueError, EOFError, MemoryError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(
            f"{path} cannot be read as an .npz file of plain arrays ({error}); save numbers or "
            "characters with numpy.savez."
        ) from error
    for place, array in ((question, questions), (answer, answers)):
        kinds = {1: "U", 2: "iubUf", 3: "iubUf"}.get(array.ndim, "")
        if array.dtype.kind not in kinds:
            raise UserError(
                f"{path}: {keys[place]} is {array.dtype} {list(array.shape)}; give numbers or "
                "characters [m, cells] or [m, rows, columns], or texts [m]."
            )
    if len(questions) != len(answers):
        raise UserError(
            f"{path} has {len(questions)} questions and {len(answers)} answers; give one answer "
            "for each question."
        )
    for number, (one, other) in enumerate(zip(questions, answers, strict=True), 1):
        yield Pair(f"{path}, puzzle {number}", one.tolist(), other.tolist())


def _characters(array: NDArray[Any]) -> NDArray[Any]:
    """An array, whose bytes, if it is of bytes, are characters."""
    return array.astype("U") if array.dtype.kind == "S" else array
