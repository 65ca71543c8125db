"""Mazes on a square grid: tokens, text and rules."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trm_jax.core.errors import UserError
from trm_jax.tasks.given import Given, only
from trm_jax.tasks.maze.floor import TOKENS, read_floors
from trm_jax.tasks.maze.paths import FREE, GOAL, PATH, START, find, passable, search

SYMBOLS = "# SGo"
"""Characters of wall, free cell, start, goal and path, which have tokens 1 to 5."""
DOT = "."
"""Another character for a free cell, since some editors trim spaces at line ends."""
MIN_SIDE, MAX_SIDE = 5, 512
_NAMES = ("a pad", "a wall", "free", "the start", "the goal", "path")

Grid = NDArray[np.uint8]


@dataclasses.dataclass(frozen=True)
class Maze:
    """A maze of `side` x `side` cells with moves up, down, left and right.

    Token ids: 0 pad, then wall, free, start, goal, path.

    Raises:
        UserError: the side is below 5.
    """

    side: int

    def __post_init__(self) -> None:
        """Checks the side."""
        if self.side < MIN_SIDE:
            raise UserError(f"side is {self.side}; it must be {MIN_SIDE} or more, for example 30.")

    @classmethod
    def from_manifest(cls, manifest: Mapping[str, Any]) -> "Maze":
        """Reads the side from a dataset's manifest; raises UserError if it is missing."""
        side = manifest.get("side")
        if type(side) is not int:
            raise UserError(
                f"the dataset's manifest has side {side!r}; a maze needs an integer, "
                "for example 30."
            )
        return cls(side)

    @property
    def cells(self) -> int:
        """Number of cells of the grid, S."""
        return self.side**2

    @property
    def vocab(self) -> int:
        """Number of token ids, V: pad and the five symbols."""
        return len(SYMBOLS) + 1

    def token_table(self) -> Grid:
        """Token of each byte of text, uint8 [256]; 0 for bytes that are not a cell."""
        table = np.zeros(256, np.uint8)
        for symbol, token in TOKENS.items():
            table[ord(symbol)] = token
        return table

    def parse(self, text: str) -> Grid:
        """Reads a text of one maze, in one line or one line per row.

        A space is a cell and is not skipped; `.` is a free cell too. See `floor.read_floors`.

        Returns:
            uint8 [S] tokens.

        Raises:
            UserError: a character is not a cell, or there are too few or too many cells.
        """
        return only(self.parse_all(text))

    def parse_all(self, text: str) -> list[Given]:
        """Reads all mazes of a text.

        Raises:
            BadLineError: a line is not part of a maze.
        """
        return read_floors(text, self.side)

    def format_line(self, tokens: Grid) -> str:
        """Writes tokens [S] as one line that `parse` reads; pads become free cells."""
        text = " " + SYMBOLS
        return "".join(text[token] for token in tokens.tolist())

    def check_question(self, question: Grid) -> str | None:
        """A sentence on why a question [S] cannot be solved; None if it can."""
        for token in (START, GOAL):
            count = int((question == token).sum())
            if count != 1:
                return f"the maze has {count} cells {SYMBOLS[token - 1]} instead of one"
        if (question == PATH).any():
            return f"{self._place(question == PATH)} is path already, and a question has none"
        if not question.all():
            return f"{self._place(question == 0)} is a pad"
        goal = find(question[None], GOAL)
        if search(passable(question[None]), find(question[None], START)).distances[0, goal] < 0:
            return "no way leads from S to G"
        return None

    def check_answer(self, question: Grid, answer: Grid) -> list[str]:
        """Sentences on what is wrong with an answer [S] to a question [S]; empty if it is right.

        Any shortest path is right. The question must pass `check_question`.
        """
        changed = _changed(question, answer)
        broken = []
        for before, after in np.unique(np.stack([question, answer], 1)[changed], axis=0).tolist():
            where = changed & (question == before) & (answer == after)
            many = f" and {where.sum() - 1} more" if where.sum() > 1 else ""
            broken.append(
                f"{self._place(where)}{many} became {_NAMES[after]}, and was {_NAMES[before]}"
            )
        start, goal = (find(question[None], token) for token in (START, GOAL))
        on_path = (answer == PATH)[None]
        on_path[0, [start[0], goal[0]]] = True
        reached = search(on_path, start).distances[0]
        steps = int(reached[goal[0]])
        loose = on_path[0] & (reached < 0) & (answer == PATH)
        if steps < 0:
            broken.append(f"the path from S ends at {self._place(reached == reached.max())}")
        if loose.any():
            broken.append(f"path in {self._place(loose)} is not connected to S")
        extra = int((reached > 0).sum()) - steps
        if steps >= 0 and extra:
            many = f"{extra} cell{'s' if extra > 1 else ''}"
            broken.append(f"the path has {many} too many: it branches or touches itself")
        if not broken:
            longer = steps - int(search(passable(question[None]), start).distances[0, goal[0]])
            if longer:
                many = f"{longer} step{'s' if longer > 1 else ''}"
                broken.append(f"the path is {many} longer than the shortest")
        return broken

    def _place(self, where: NDArray[np.bool_]) -> str:
        """Names the position of the first marked cell of [S]."""
        row, column = divmod(int(where.argmax()), self.side)
        return f"row {row + 1}, column {column + 1}"


def _changed(question: Grid, answer: Grid) -> NDArray[np.bool_]:
    """Mask of cells that differ, except free cells that became path."""
    return (question != answer) & ((question != FREE) | (answer != PATH))
