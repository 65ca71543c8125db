"""Numbers as people read them."""

import math


def percent(value: float, width: int = 6) -> str:
    """A share as "12.3%", right-justified; "-" where there was nothing to take the mean of."""
    return "-".rjust(width) if math.isnan(value) else f"{value:{width}.1%}"
