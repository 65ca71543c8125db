"""Reads text and JSON files of users: UTF-8 of bounded size; anything else is a `UserError`."""

import gzip
import io
import json
import stat
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from trm_jax.core.errors import UserError

MAX_BYTES = 1 << 28
"""Max bytes of a file that is read as a whole."""
MAX_LINE = 1 << 20
"""Max characters of one line."""
MAX_RATIO, MIN_SUSPECT = 100, 1 << 24
"""Gzipped text is refused if it unpacks to more than MAX_RATIO times its size, unless to less than
MIN_SUSPECT bytes, since puzzles do not compress as well."""

_MARKS = {
    b"\xff\xfe\x00\x00": "UTF-32",
    b"\x00\x00\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}
_BINARY = {
    b"PK\x03\x04": "a ZIP archive or a spreadsheet",
    b"\xd0\xcf\x11\xe0": "an old spreadsheet or document",
    b"%PDF": "a PDF",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"PAR1": "a Parquet file",
    b"BZh": "a bzip2 file",
    b"\xfd7zXZ": "an xz file",
    b"\x28\xb5\x2f\xfd": "a Zstandard file",
    b"version https://git-lfs": "a Git LFS pointer, not the file itself",
}
GZIP = b"\x1f\x8b"


def check_file(path: Path) -> int:
    """Size in bytes of a regular file.

    Raises:
      UserError: there is no such file, or it is a directory, a pipe or a device.
    """
    try:
        found = path.stat()
    except (OSError, ValueError) as error:
        missing = isinstance(error, FileNotFoundError | NotADirectoryError)
        reason = "no such file" if missing else getattr(error, "strerror", None) or error
        raise UserError(f"{path} cannot be read: {reason}; check the path.") from error
    if stat.S_ISDIR(found.st_mode):
        raise UserError(f"{path} cannot be read: it is a directory; give a file.")
    if not stat.S_ISREG(found.st_mode):
        raise UserError(
            f"{path} cannot be read: it is a pipe or a device; save its content to a file, and "
            "give that."
        )
    return found.st_size


def refuse_encoding(head: bytes, where: object, remedy: str = "give plain text in UTF-8") -> None:
    """Refuses data whose first bytes show another encoding than UTF-8, or a binary file.

    Args:
      head: the first bytes.
      where: name of their source, for the error message.
      remedy: what to do if the data is not text, for the error message.

    Raises:
      UserError: the data is not UTF-8 text; the message names the encoding or file type.
    """
    for mark, name in _MARKS.items():
        if head.startswith(mark):
            raise UserError(f"{where} is encoded in {name}; save it as UTF-8.")
    for mark, name in _BINARY.items():
        if head.startswith(mark):
            raise UserError(f"{where} is {name}; {remedy}.")
    if b"\x00" in head:
        raise UserError(f"{where} is binary, or encoded in UTF-16 without a mark; {remedy}.")


def decode(data: bytes, where: object) -> str:
    """Decodes UTF-8 text, gzipped or not; a byte-order mark is dropped.

    Args:
      data: content of a file.
      where: name of its source, for the error message.

    Raises:
      UserError: the data is in another encoding, not text, or damaged.
    """
    if data.startswith(GZIP):
        data = _unzip(data, where)
    refuse_encoding(data[:4096], where)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # `error.object` is the data without the byte-order mark, and `error.start` counts in it
        before = error.object[: error.start]
        line = before.count(b"\n") + 1
        raise UserError(
            f"{where}, line {line}: byte 0x{error.object[error.start]:02x} is not UTF-8 (the file "
            "may be in Latin-1 or Windows-1252); save it as UTF-8."
        ) from error


def read_text(path: Path) -> str:
    """Reads a text file, gzipped or not.

    Raises:
      UserError: the file is missing, not a regular file, too large, or not text in UTF-8.
    """
    size = check_file(path)
    if size > MAX_BYTES:
        raise UserError(
            f"{path} has {size:,} bytes and at most {MAX_BYTES:,} are read at once; split it."
        )
    try:
        return decode(path.read_bytes(), path)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}; check the path.") from error


def read_stdin(stream: IO[str] | None = None) -> str:
    """Reads standard input.

    Raises:
      UserError: the input is too large, or not text in UTF-8.
    """
    stream = stream or sys.stdin
    where = "standard input"
    raw = getattr(stream, "buffer", None)
    data = raw.read(MAX_BYTES + 1) if raw else stream.read(MAX_BYTES + 1).encode()
    if len(data) > MAX_BYTES:
        raise UserError(f"{where} has more than {MAX_BYTES:,} bytes; give a smaller part of it.")
    return decode(data, where)


def read_json(path: Path) -> Any:
    """Reads a JSON file.

    Raises:
      UserError: the file cannot be read, is not valid JSON, or is nested too deeply.
    """
    return parse_json(read_text(path), path)


def parse_json(text: str, where: object) -> Any:
    """Parses JSON.

    Args:
      text: JSON text.
      where: name of its source, for the error message.

    Raises:
      UserError: the text is empty, not valid JSON, or nested too deeply, or an object has a key
        twice.
    """
    if not text.strip():
        raise UserError(f"{where} is empty; give a JSON file.")
    if text.lstrip()[:1] == "<":
        raise UserError(f"{where} is a web page and not valid JSON; download the file itself.")

    def entries(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            raise _repeated_key(pairs, where)
        return found

    try:
        return json.loads(text, object_pairs_hook=entries)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data" and error.lineno > 1:
            raise UserError(
                f"{where} is not valid JSON as a whole: line {error.lineno} begins another value "
                "(is it JSON Lines?); give one JSON object per file."
            ) from error
        raise UserError(f"{where} is not valid JSON ({error}); fix or replace it.") from error
    except ValueError as error:  # of int(), for integers of thousands of digits
        raise UserError(
            f"{where} has a number of more than {sys.get_int_max_str_digits():,} digits; if "
            "its digits are cells, write it as a string, in quotes."
        ) from error
    except RecursionError as error:
        raise UserError(f"{where} is not usable JSON: it is nested too deeply.") from error


def _repeated_key(pairs: list[tuple[str, Any]], where: object) -> UserError:
    keys = [key for key, _ in pairs]
    key = next(key for key in keys if keys.count(key) > 1)
    one, other, *_ = (repr(value)[:40] for name, value in pairs if name == key)
    return UserError(
        f"{where}: an object has the key {key!r} twice, with the values {one} and {other}; keep "
        "one of them."
    )


def bounded_lines(stream: IO[str], path: Path, packed: int) -> Iterator[str]:
    """Yields the lines of an open text file, with their line endings.

    Args:
      stream: file opened with newline="".
      path: path of the file, for error messages.
      packed: its size on disk in bytes if it is gzipped, else 0.

    Raises:
      UserError: a line is too long, or the text is far larger than gzipped puzzles can be.
    """
    number = total = 0
    while line := stream.readline(MAX_LINE):
        number, total = number + 1, total + len(line)
        if len(line) >= MAX_LINE:
            raise UserError(
                f"{path}, line {number}: the line has {MAX_LINE:,} characters or more; give one "
                "puzzle per line."
            )
        if packed and total > MIN_SUSPECT and total > MAX_RATIO * packed:
            raise _bomb(path)
        yield line


def _unzip(data: bytes, where: object) -> bytes:
    """Decompresses gzip data, within the size limits above."""
    most = min(MAX_BYTES, max(MIN_SUSPECT, MAX_RATIO * len(data)))
    try:
        with gzip.open(io.BytesIO(data)) as stream:
            found = stream.read(most + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(
            f"{where} is damaged or incomplete as a gzip file ({error}); download it again."
        ) from error
    if len(found) > most:
        raise _bomb(where)
    return found


def _bomb(where: object) -> UserError:
    return UserError(
        f"{where} becomes more than {MAX_RATIO} times as large when it is unpacked, which is not "
        "plausible for puzzles; unpack it and check its content."
    )
