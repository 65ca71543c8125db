"""Settings as dataclasses: each field has a default, a range and a one-sentence description.

A group of settings is a frozen dataclass derived from `Settings` whose fields are made by
`setting`. Checks, reading from nested plain data and docs/reference/settings.md are derived from
the fields.
"""

import dataclasses
import difflib
import math
import re
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar, NamedTuple, Self, get_args, get_origin

from trm_jax.core.errors import UserError

LARGEST = 2**31 - 1
"""Max magnitude of an integer setting: compiled programs count in 32 bits."""

LONGEST = 4096
"""Max characters of a text setting, more than any path may have."""


class Rule(NamedTuple):
    """Description and range of a setting.

    Attributes:
      about: one-sentence description.
      low: min value, inclusive.
      high: max value, inclusive.
      above: exclusive lower bound.
      below: exclusive upper bound.
      choices: the allowed values; empty if the setting is not a choice.
    """

    about: str
    low: float | None = None
    high: float | None = None
    above: float | None = None
    below: float | None = None
    choices: tuple[Any, ...] = ()

    def allows(self, value: Any) -> bool:
        """Whether a value, or every entry of a tuple, is in the range; NaN and infinity never."""
        if self.choices:
            return value in self.choices
        if isinstance(value, tuple):
            return all(map(self.allows, value))
        if isinstance(value, bool) or not isinstance(value, int | float):
            return True
        return (
            _finite(value)
            and (self.low is None or value >= self.low)
            and (self.high is None or value <= self.high)
            and (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
        )

    def range(self) -> str:
        """The range as text that follows "it must be"; empty if any finite value is allowed."""
        if self.choices:
            return f"one of {', '.join(map(repr, self.choices))}"
        lower = self.low if self.above is None else self.above
        upper = self.high if self.below is None else self.below
        if lower is not None and upper is not None:
            opening, closing = (
                "[" if self.above is None else "(",
                "]" if self.below is None else ")",
            )
            return f"in {opening}{_number(lower)}, {_number(upper)}{closing}"
        if lower is not None:
            edge = _number(lower)
            return f"{edge} or more" if self.above is None else f"above {edge}"
        if upper is not None:
            edge = _number(upper)
            return f"{edge} or less" if self.below is None else f"below {edge}"
        return ""


def setting(default: Any, about: str, **limits: Any) -> Any:
    """Makes a field of a group of settings.

    Args:
      default: value of the setting unless the user gives another.
      about: one-sentence description.
      **limits: `low`, `high`, `above`, `below` or `choices`, see `Rule`.
    """
    return dataclasses.field(default=default, metadata={"rule": Rule(about, **limits)})


def group(kind: type["Settings"], about: str) -> Any:
    """Makes a field that is itself a group of settings, `kind()` by default."""
    return dataclasses.field(default_factory=kind, metadata={"rule": Rule(about)})


@dataclasses.dataclass(frozen=True)
class Settings:
    """A group of settings; the constructor checks the type and the range of each.

    Attributes:
      GROUP: dotted name of the group, for error messages: "config.model".
    """

    GROUP: ClassVar[str] = "config"

    def __post_init__(self) -> None:
        """Refuses values of the wrong type or out of range."""
        for name, kind, rule in self.rules():
            check(f"{self.GROUP}.{name}", getattr(self, name), kind, rule)

    @classmethod
    def rules(cls) -> list[tuple[str, Any, Rule]]:
        """Name, type and rule of each field made by `setting` or `group`."""
        hints = typing.get_type_hints(cls)
        fields = [field for field in dataclasses.fields(cls) if "rule" in field.metadata]
        return [(field.name, hints[field.name], field.metadata["rule"]) for field in fields]

    @classmethod
    def read(cls, values: Any, known: Iterable[str] = ()) -> Self:
        """Makes the group from nested plain data; settings that are missing take their defaults.

        Args:
          values: mapping as read from JSON; lists are turned into tuples.
          known: dotted names that the error for an unknown key may suggest; by default all
            settings of this group.

        Raises:
          UserError: a key is unknown, or a value has the wrong type or is out of range.
        """
        values = as_mapping(cls.GROUP, values)
        known = list(known) or list(flat_names(cls))
        kinds = {name: kind for name, kind, _ in cls.rules()}
        for key in values:
            if key not in kinds:
                raise unknown(f"{cls.GROUP}.{key}", known)
        made = {}
        for name, value in values.items():
            kind = kinds[name]
            made[name] = kind.read(value, known) if is_group(kind) else tuples(value)
        return cls(**made)

    def to_dict(self) -> dict[str, Any]:
        """Nested plain data, the inverse of `read`."""
        values = {name: getattr(self, name) for name, _, _ in self.rules()}
        return {k: v.to_dict() if isinstance(v, Settings) else v for k, v in values.items()}


def check(name: str, value: Any, kind: Any, rule: Rule) -> None:
    """Checks a value's type against `kind` and its range against `rule`.

    Raises:
      UserError: the value is refused; the message names the setting and what it must be.
    """
    if not matches(value, kind):
        example = ", such as (3, 3)" if kind == tuple[int, int] else ""
        raise UserError(f"{name} is {shown(value)}; it must be of type {type_name(kind)}{example}.")
    if kind is int and rule.high is None and abs(value) > LARGEST:
        raise UserError(
            f"{name} is {shown(value)}; it must be {LARGEST} or less, to fit into 32 bits."
        )
    _check_texts(name, value)
    if not rule.allows(value):
        wanted = [] if _finite(value) else ["finite"]
        wanted += [rule.range()] if rule.range() else []
        raise UserError(f"{name} is {shown(value)}; it must be {' and '.join(wanted)}.")


def _check_texts(name: str, value: Any) -> None:
    """Refuses texts, also inside tuples, that are too long or contain control characters."""
    for text in value if isinstance(value, tuple) else (value,):
        if isinstance(text, tuple):
            _check_texts(name, text)
        elif isinstance(text, str):
            if len(text) > LONGEST:
                raise UserError(
                    f"{name} has {len(text)} characters; shorten it to at most {LONGEST}."
                )
            if unfit := next((c for c in text if ord(c) < 32 or 0xD800 <= ord(c) < 0xE000), None):
                raise UserError(
                    f"{name} is {shown(text)}; it contains the control character {unfit!r}, leave "
                    "it out."
                )


def shown(value: Any, longest: int = 120) -> str:
    """The `repr` of a value, truncated if it is long."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # an integer of too many digits, or too deep a nesting
        return f"a {type(value).__name__} too large to print"
    return text if len(text) <= longest else f"{text[:longest]}..."


def matches(value: Any, kind: Any) -> bool:
    """Whether a value has a type; an integer is accepted for a float, a bool only for a bool."""
    if get_origin(kind) is tuple:
        entries = get_args(kind)
        if not isinstance(value, tuple):
            return False
        if entries[-1] is Ellipsis:
            return all(matches(entry, entries[0]) for entry in value)
        return len(value) == len(entries) and all(map(matches, value, entries))
    if isinstance(kind, types.UnionType):
        return any(matches(value, one) for one in get_args(kind))
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, (int, float) if kind is float else kind)


def type_name(kind: Any) -> str:
    """A type as written in an annotation: "int", "tuple[int, int]"."""
    return kind.__name__ if isinstance(kind, type) and not get_args(kind) else str(kind)


def is_group(kind: Any) -> bool:
    """Whether a type is a group of settings."""
    return isinstance(kind, type) and issubclass(kind, Settings)


def tuples(value: Any) -> Any:
    """Replaces lists, as JSON has, by tuples at any depth."""
    return tuple(map(tuples, value)) if isinstance(value, list | tuple) else value


def as_mapping(path: str, values: Any) -> dict[str, Any]:
    """Copies the values of a group into a dict.

    Raises:
      UserError: `values` is not a mapping.
    """
    if not isinstance(values, Mapping):
        raise UserError(f"{path} is {shown(values)}; it must be a group of settings.")
    return dict(values)


def flat_names(kind: type[Settings]) -> Iterator[str]:
    """Yields the dotted names of all settings of a group, such as "config.model.T"."""
    for name, each, _ in kind.rules():
        if is_group(each):
            yield from flat_names(each)
        else:
            yield f"{kind.GROUP}.{name}"


def unknown(name: str, known: Iterable[str]) -> UserError:
    """Makes the error for an unknown setting's name, with suggestions from `known`."""
    known = list(known)
    inside = next((other for other in known if other.startswith(f"{name}.")), None)
    if inside:
        return UserError(f"{name} is a group of settings; name one of them, as in {inside}.")
    near = nearest(name, known)
    if not near:
        return UserError(f"{name} is not a setting; docs/reference/settings.md lists all of them.")
    return UserError(f"{name} is not a setting; did you mean {' or '.join(near)}?")


def nearest(name: str, known: Iterable[str], count: int = 3) -> list[str]:
    """Finds dotted names similar to `name`, at most `count`.

    Names with the same last part come first, then those with a similar last part; if there is
    none, the names of groups are compared. The result may be empty.
    """
    known = list(known)
    group, _, last = name.rpartition(".")
    leaves = dict.fromkeys(other.rpartition(".")[2] for other in known)
    # most often the group is wrong, then the last part is misspelt
    near = [leaf for leaf in leaves if leaf.casefold() == last.casefold()]
    near = (
        [last] if last in leaves else near or difflib.get_close_matches(last, leaves, count, 0.75)
    )
    found = [other for leaf in near for other in known if other.rpartition(".")[2] == leaf]
    siblings = [other for other in found if other.rpartition(".")[0] == group]
    if siblings or found:
        return (siblings or found)[:count]
    groups = {other.rpartition(".")[0].rpartition(".")[2]: other for other in reversed(known)}
    close = difflib.get_close_matches(last, groups, count, 0.75)
    return _same_letters(name, known) or [groups[each].rpartition(".")[0] for each in close]


def _same_letters(name: str, known: Iterable[str]) -> list[str]:
    """Settings that `name` extends ("model.T.x", "box[0]"), or equals except for punctuation."""
    letters = re.sub(r"\W|_", "", name)
    return [
        other
        for other in known
        if re.match(rf"{re.escape(other)}\W", name) or re.sub(r"\W|_", "", other) == letters
    ]


def _finite(value: Any) -> bool:
    if isinstance(value, tuple):
        return all(map(_finite, value))
    try:
        return not isinstance(value, int | float) or math.isfinite(value)
    except OverflowError:  # an integer too large for a float
        return False


def _number(value: float) -> str:
    """Formats a limit; integers are written in full."""
    return str(value) if isinstance(value, int) else f"{value:g}"
