"""Reads the row names of a published puzzle table."""

import re
from collections.abc import Sequence
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from trm_jax.core.errors import UserError
from trm_jax.data.rows import BLANK, BLANK_NAME, Rows
from trm_jax.tasks.arc.records import COLOURS, IDENTITY, Transforms

_COPY = re.compile(r"(?P<task>.+?)(\|\|\|t(?P<turn>[0-7])\|\|\|0(?P<colours>[1-9]{9}))?", re.DOTALL)


def read_row_names(names: Sequence[str], where: str) -> tuple[Rows, NDArray[np.int64]]:
    """Converts published names to `Rows`, grouped by task, and the index of each in `names`.

    Args:
      names: names of all rows as published: the blank one first, then those of tasks in any order.
      where: the file of the names, for error messages.

    Raises:
      UserError: a name is invalid; the message shows the first such name.
    """

    def refuse(place: int, why: str) -> NoReturn:
        raise UserError(
            f"{where}: entry {place} is {names[place]!r}, {why}; give the identifiers.json that "
            "belongs to these weights."
        )

    if not names or names[BLANK] != BLANK_NAME:
        raise UserError(
            f"{where}: the first entry must be {BLANK_NAME!r}, the row that belongs to no task."
        )
    places: dict[str, list[int]] = {}
    transforms = np.tile(IDENTITY, (len(names), 1))
    for place, name in enumerate(names[1:], 1):
        found = _COPY.fullmatch(name)
        if found is None or name == BLANK_NAME:
            refuse(place, "which names no task")
        if found["turn"]:
            colours = [int(digit) for digit in found["colours"]]
            if len(set(colours)) < COLOURS - 1:
                refuse(place, "whose colours are not a permutation")
            transforms[place] = [int(found["turn"]), *colours]
        places.setdefault(found["task"], []).append(place)
    plans: list[Transforms] = []
    for task, mine in places.items():
        mine.sort(key=lambda place: names[place] != task)  # the original first; the sort is stable
        if names[mine[0]] != task:
            refuse(mine[0], "a copy of a task whose own row is missing")
        if len({names[place] for place in mine}) < len(mine):
            refuse(mine[1], "a name that occurs twice")
        plans.append(transforms[mine])
    order = np.asarray([BLANK, *(place for mine in places.values() for place in mine)], np.int64)
    return Rows.of(list(places), plans, IDENTITY), order
