"""Settings as dataclasses: each with its default, its range and one sentence, written once.

A group of settings is a frozen dataclass below `Settings` whose fields are made by `setting`. From
that follow its checks, how it is read from nested plain data, and its part of
docs/reference/settings.md.
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
"""Of whole numbers, which the compiled programs count with in 32 bits."""

LONGEST = 4096
"""Characters of a text, more than any path may have."""


class Rule(NamedTuple):
    """What a setting is, and which values it may have.

    Attributes:
      about: one sentence.
      low: smallest value.
      high: largest value.
      above: value that it must exceed.
      below: value that it must stay under.
      choices: all values there are.
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
        """The range in words, to follow "it must be"; empty if any finite value will do."""
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
    """A field of a group of settings.

    Args:
      default: its value where none is given.
      about: one sentence.
      **limits: `low`, `high`, `above`, `below` or `choices`, see `Rule`.
    """
    return dataclasses.field(default=default, metadata={"rule": Rule(about, **limits)})


def group(kind: type["Settings"], about: str) -> Any:
    """A field that is a group of settings itself, by default with its own defaults."""
    return dataclasses.field(default_factory=kind, metadata={"rule": Rule(about)})


@dataclasses.dataclass(frozen=True)
class Settings:
    """A group of settings; making one checks the type and the range of each.

    Attributes:
      GROUP: where the group stands, for messages: "config.model".
    """

    GROUP: ClassVar[str] = "config"

    def __post_init__(self) -> None:
        """Refuses values of the wrong type or out of range."""
        for name, kind, rule in self.rules():
            check(f"{self.GROUP}.{name}", getattr(self, name), kind, rule)

    @classmethod
    def rules(cls) -> list[tuple[str, Any, Rule]]:
        """Name, type and rule of each field that `setting` or `group` made."""
        hints = typing.get_type_hints(cls)
        fields = [field for field in dataclasses.fields(cls) if "rule" in field.metadata]
        return [(field.name, hints[field.name], field.metadata["rule"]) for field in fields]

    @classmethod
    def read(cls, values: Any, known: Iterable[str] = ()) -> Self:
        """Checks nested plain data and fills in defaults.

        Args:
          values: mapping as from JSON; lists stand for tuples.
          known: dotted names of all settings there are, for suggestions; None are those below.

        Raises:
          UserError: an unknown key, a value of the wrong type or out of range.
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
        """Nested plain data; `read` is the inverse."""
        values = {name: getattr(self, name) for name, _, _ in self.rules()}
        return {k: v.to_dict() if isinstance(v, Settings) else v for k, v in values.items()}


def check(name: str, value: Any, kind: Any, rule: Rule) -> None:
    """Refuses a value of another type than `kind`, or outside the rule's range.

    Raises:
      UserError: names the setting and what it must be.
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
    """Refuses texts, in tuples too, that no file name, log or terminal could take."""
    for text in value if isinstance(value, tuple) else (value,):
        if isinstance(text, tuple):
            _check_texts(name, text)
        elif isinstance(text, str):
            if len(text) > LONGEST:
                raise UserError(f"{name} has {len(text)} characters; {LONGEST} are enough.")
            if unfit := next((c for c in text if ord(c) < 32 or 0xD800 <= ord(c) < 0xE000), None):
                raise UserError(
                    f"{name} is {shown(text)}; {unfit!r} in it is no character of a text, leave it "
                    "out."
                )


def shown(value: Any, longest: int = 120) -> str:
    """A value as Python writes it, cut short where it is long."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # more digits, or deeper, than Python writes
        return f"a {type(value).__name__} too large to print"
    return text if len(text) <= longest else f"{text[:longest]}..."


def matches(value: Any, kind: Any) -> bool:
    """Whether a value is of a type; an integer may stand for a float, a flag never for a number."""
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
    """A type as people write it: "int", "tuple[int, int]"."""
    return kind.__name__ if isinstance(kind, type) and not get_args(kind) else str(kind)


def is_group(kind: Any) -> bool:
    """Whether a type is a group of settings."""
    return isinstance(kind, type) and issubclass(kind, Settings)


def tuples(value: Any) -> Any:
    """Tuples where JSON has lists, at any depth."""
    return tuple(map(tuples, value)) if isinstance(value, list | tuple) else value


def as_mapping(path: str, values: Any) -> dict[str, Any]:
    """A copy of a group's values.

    Raises:
      UserError: they are no mapping.
    """
    if not isinstance(values, Mapping):
        raise UserError(f"{path} is {shown(values)}; it must be a group of settings.")
    return dict(values)


def flat_names(kind: type[Settings]) -> Iterator[str]:
    """Dotted names of all settings of a group, "config.model.T" and so on."""
    for name, each, _ in kind.rules():
        if is_group(each):
            yield from flat_names(each)
        else:
            yield f"{kind.GROUP}.{name}"


def unknown(name: str, known: Iterable[str]) -> UserError:
    """The error for a name that no setting has, with the nearest ones that there are."""
    known = list(known)
    inside = next((other for other in known if other.startswith(f"{name}.")), None)
    if inside:
        return UserError(f"{name} is a group of settings; name one of them, as in {inside}.")
    near = nearest(name, known)
    if not near:
        return UserError(f"{name} is no setting; docs/reference/settings.md lists all of them.")
    return UserError(f"{name} is no setting; did you mean {' or '.join(near)}?")


def nearest(name: str, known: Iterable[str], count: int = 3) -> list[str]:
    """The dotted names most like one: those with its last part, else those spelt nearly so.

    Where no setting is like it, the groups of settings are looked at; it may be like none of these.
    """
    known = list(known)
    group, _, last = name.rpartition(".")
    leaves = dict.fromkeys(other.rpartition(".")[2] for other in known)
    # a wrong group is likeliest, then a slip in the last part
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
    """Settings that a name goes on after ("model.T.x", "box[0]"), or spells with other marks."""
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
    except OverflowError:  # a whole number that no float can hold
        return False


def _number(value: float) -> str:
    """A limit as people write it: whole numbers in full."""
    return str(value) if isinstance(value, int) else f"{value:g}"
