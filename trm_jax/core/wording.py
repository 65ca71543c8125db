"""Formatting of numbers in reports."""

import math


def percent(value: float, width: int = 6) -> str:
    """Formats a fraction as "12.3%", right-justified; "-" for NaN, the mean of nothing."""
    return "-".rjust(width) if math.isnan(value) else f"{value:{width}.1%}"


def counted(number: int, name: str) -> str:
    """Formats a count and its noun, as "1 pass" or "1,024 passes"."""
    ending = "" if number == 1 else "es" if name.endswith("s") else "s"
    return f"{number:,} {name}{ending}"
