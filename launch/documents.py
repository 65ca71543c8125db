"""Reads the user's YAML and JSON within bounds: no file is too large, too deep or too clever."""

import json
import math
from pathlib import Path
from typing import Any

import yaml

from . import patterns
from .errors import LaunchError

MOST_BYTES, DEEPEST, MOST_PARTS = 1_000_000, 20, 100_000


def read_text(path: Path, what: str) -> str:
    """A small text file, UTF-8 with or without a mark.

    Args:
      path: the file, which may be a pipe.
      what: names it in errors.

    Raises:
      LaunchError: it cannot be read, is too large, or is no text.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise LaunchError(f"{what} cannot be read: {error.strerror}.") from error
    except ValueError as error:  # a NUL in the name
        raise LaunchError(f"{what} cannot be read: {error}.") from error
    if len(content) > MOST_BYTES:
        raise LaunchError(f"{what} is larger than {MOST_BYTES:,} bytes, which no such file is.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise LaunchError(f"{what} is no text in UTF-8 (byte {error.start}).") from error


def parse_yaml(text: str, what: str) -> Any:
    """What a YAML text says.

    Raises:
      LaunchError: it is none, or is too deep or too large; what it holds is not in the sentence.
    """
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise LaunchError(f"{what} is no YAML{_reason(error)}.") from error
    except RecursionError as error:
        raise LaunchError(f"{what} is nested too deeply.") from error
    except (ValueError, OverflowError, TypeError) as error:  # numbers and dates beyond Python's
        raise LaunchError(f"{what} is no YAML: a number or date in it cannot be read.") from error
    _check_size(found, what)
    return found


def parse_json(text: str, what: str) -> Any:
    """What a JSON text says; NaN and infinity are no JSON.

    Raises:
      LaunchError: it is none, or is too deep.
    """

    def refuse(word: str) -> Any:
        raise ValueError(f"{word} is no number")

    try:
        found = json.loads(text, parse_constant=refuse)
    except RecursionError as error:
        raise LaunchError(f"{what} is nested too deeply.") from error
    except ValueError as error:
        reason = str(error) if len(str(error)) < 100 else "a number in it is too long"
        raise LaunchError(f"{what} is no JSON: {reason}.") from error
    _check_size(found, what)
    return found


def _reason(error: yaml.YAMLError) -> str:
    """The problem and its place, without the line itself, which may hold a secret."""
    problem = getattr(error, "problem", None) or getattr(error, "reason", None)
    mark = getattr(error, "problem_mark", None)
    where = f" in line {mark.line + 1}, column {mark.column + 1}" if mark else ""
    return f": {' '.join(str(problem).split())}{where}" if problem else ""


def _check_size(value: Any, what: str) -> None:
    """Refuses depth, and references that stand for more than a file could hold."""
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
            if parts + len(inner) > MOST_PARTS:
                raise LaunchError(f"{what} has more than {MOST_PARTS:,} values.")
        level = inner
        if not level:
            return
    raise LaunchError(f"{what} is nested too deeply.")
