"""Converts mappings from YAML into frozen dataclasses; refuses unknown keys and wrong types."""

import dataclasses
import difflib
import types
import typing
from typing import Any, TypeVar

from .errors import LaunchError
from .patterns import check_fields, check_number, check_text, shown

T = TypeVar("T")
KINDS = {str: "a text", int: "a whole number", bool: "true or false"}


def build(cls: type[T], raw: object, where: str) -> T:
    """Makes a dataclass from a mapping.

    Args:
      cls: the dataclass; its fields are strings, integers, booleans, tuples of strings, mappings of
        strings, dataclasses, or one of these or None.
      raw: the value that YAML gave.
      where: position for errors, such as "jobs/arc.yaml: tpu".

    Raises:
      LaunchError: a key is unknown or missing, or a value has the wrong type.
    """
    if not isinstance(raw, dict):
        raise LaunchError(f"{where} must be a mapping of keys to values, not {shown(raw)}.")
    fields = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    for key in raw:
        if key not in fields:
            raise LaunchError(f"{where} has no key {shown(key)}{suggestion(str(key), fields)}")
    hints = typing.get_type_hints(cls)
    values = {key: _value(hints[key], value, f"{where}: {key}") for key, value in raw.items()}
    for name, field in fields.items():
        needed = field.default is field.default_factory is dataclasses.MISSING
        if needed and name not in values:
            raise LaunchError(f"{where} lacks the key {name!r}.")
    check_fields(where.rpartition(": ")[2], values)
    return cls(**values)


def suggestion(word: str, known: typing.Iterable[str]) -> str:
    """The end of an error's sentence: the most similar known word, or all known words."""
    known = list(known)
    near = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; it may have: {', '.join(known)}."


def _value(hint: Any, value: Any, where: str) -> Any:
    if isinstance(hint, types.UnionType):
        hint, optional = hint.__args__[0], True
        if value is None and optional:
            return None
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return build(hint, value, where)
    if typing.get_origin(hint) is tuple:
        if not isinstance(value, list):
            raise LaunchError(f"{where} must be a list, not {shown(value)}.")
        return tuple(_text(item, where) for item in value)
    if typing.get_origin(hint) is dict:
        if not isinstance(value, dict):
            raise LaunchError(f"{where} must be a mapping, not {shown(value)}.")
        return {_text(key, where): _text(item, f"{where}: {key}") for key, item in value.items()}
    # `type`, not `isinstance`: Python's bool is an int, but YAML's true is not a number
    if type(value) is not hint:
        raise LaunchError(f"{where} must be {KINDS[hint]}, not {shown(value)}.")
    if isinstance(value, str):
        check_text(where, value)
    elif isinstance(value, int):
        check_number(where, value)
    return value


def _text(value: Any, where: str) -> str:
    # integers are accepted as texts; `yes`, `1.0` and dates would be ambiguous
    if type(value) is int:
        check_number(where, value)
    if not isinstance(value, str) and type(value) is not int:
        raise LaunchError(f"{where} must hold texts; put {shown(value)} in quotes.")
    check_text(where, str(value))
    return str(value)
