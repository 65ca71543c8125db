"""Numbers as people read them."""

import math


def percent(value: float, width: int = 6) -> str:
    """A share as "12.3%", right-justified; "-" where there was nothing to take the mean of."""
    return "-".rjust(width) if math.isnan(value) else f"{value:{width}.1%}"


def counted(number: int, name: str) -> str:
    """A number and what it counts, as "1 pass" or "1,024 passes"."""
    ending = "" if number == 1 else "es" if name.endswith("s") else "s"
    return f"{number:,} {name}{ending}"
