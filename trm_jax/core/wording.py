"""Formatting of numbers and lists in reports and messages."""

import math
from collections.abc import Sequence


def percent(value: float, width: int = 6) -> str:
    """Formats a fraction as "12.3%", right-justified; "-" for NaN, the mean of nothing."""
    return "-".rjust(width) if math.isnan(value) else f"{value:{width}.1%}"


def counted(number: int, name: str) -> str:
    """Formats a count and its noun, as "1 pass" or "1,024 passes"."""
    ending = "" if number == 1 else "es" if name.endswith("s") else "s"
    return f"{number:,} {name}{ending}"


def joined(names: Sequence[str]) -> str:
    """Formats names as "a", "a and b" or "a, b and c"."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
