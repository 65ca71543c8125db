"""Reads YAML and JSON of users, with limits on size and depth."""

import json
import math
from pathlib import Path
from typing import Any

import yaml

from . import patterns
from .errors import LaunchError

MAX_BYTES, DEEPEST, MAX_PARTS = 1_000_000, 20, 100_000


def read_text(path: Path, what: str) -> str:
    """Reads a small UTF-8 text file, with or without a byte-order mark.

    Args:
      path: the file, which may be a pipe.
      what: description of the file, for errors.

    Raises:
      LaunchError: the file cannot be read, is too large, or is not UTF-8.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise LaunchError(f"{what} cannot be read: {error.strerror}.") from error
    except ValueError as error:  # a NUL in the name
        raise LaunchError(f"{what} cannot be read: {error}.") from error
    if len(content) > MAX_BYTES:
        raise LaunchError(f"{what} is larger than {MAX_BYTES:,} bytes; give a smaller file.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise LaunchError(f"{what} is not UTF-8 text (byte {error.start}).") from error


def parse_yaml(text: str, what: str) -> Any:
    """Parses a YAML text.

    Raises:
      LaunchError: it is invalid, too deep or too large; the error does not quote the text.
    """
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise LaunchError(f"{what} is not valid YAML{_reason(error)}.") from error
    except RecursionError as error:
        raise LaunchError(f"{what} is nested too deeply.") from error
    except (ValueError, OverflowError, TypeError) as error:  # numbers and dates out of range
        raise LaunchError(
            f"{what} is not valid YAML: a number or date in it cannot be read."
        ) from error
    _check_size(found, what)
    return found


def parse_json(text: str, what: str) -> Any:
    """Parses a JSON text; NaN and infinity are refused.

    Raises:
      LaunchError: it is invalid or too deep.
    """

    def refuse(word: str) -> Any:
        raise ValueError(f"{word} is not a number")

    try:
        found = json.loads(text, parse_constant=refuse)
    except RecursionError as error:
        raise LaunchError(f"{what} is nested too deeply.") from error
    except ValueError as error:
        reason = str(error) if len(str(error)) < 100 else "a number in it is too long"
        raise LaunchError(f"{what} is not valid JSON: {reason}.") from error
    _check_size(found, what)
    return found


def _reason(error: yaml.YAMLError) -> str:
    """The problem and its position, without the line itself, which may contain a secret."""
    problem = getattr(error, "problem", None) or getattr(error, "reason", None)
    mark = getattr(error, "problem_mark", None)
    where = f" in line {mark.line + 1}, column {mark.column + 1}" if mark else ""
    return f": {' '.join(str(problem).split())}{where}" if problem else ""


def _check_size(value: Any, what: str) -> None:
    """Refuses values that are too deep or too large, as references can make them."""
    parts, level = 0, [value]
    for _ in range(DEEPEST):
        inner: list[Any] = []
        for each in level:
            if isinstance(each, dict):
                inner += [*each, *each.values()]
            elif isinstance(each, list | tuple | set):
                inner += each
            elif isinstance(each, float) and not math.isfinite(each):
                raise LaunchError(f"{what} has the number {each}, which is not finite.")
            elif isinstance(each, str):
                patterns.check_text(f"{what}: a text", each)
            parts += 1
            if parts + len(inner) > MAX_PARTS:
                raise LaunchError(f"{what} has more than {MAX_PARTS:,} values.")
        level = inner
        if not level:
            return
    raise LaunchError(f"{what} is nested too deeply.")
