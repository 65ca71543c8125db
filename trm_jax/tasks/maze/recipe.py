"""How mazes are to be made."""

import dataclasses

from trm_jax.core.errors import UserError
from trm_jax.tasks.maze.paths import MOVES

KINDS = ("random", "perfect")
WALL_SHARE = 0.37
TIE_BREAK = ",".join(MOVES)
PUBLISHED_SIDE = 30
PUBLISHED_LENGTHS = {"random": (111, 0), "perfect": (100, 140)}
"""Fewest and most steps of a shortest path by kind, where side is 30; 0 is for no limit."""


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How mazes are made; `maze_generate.generate` says what each of these is.

    Raises:
        UserError: a value that is none.
    """

    kind: str = "random"
    wall_share: float = WALL_SHARE
    shortest: int = 0
    longest: int = 0
    tie_break: str = TIE_BREAK
    endpoints: str = "far"

    def __post_init__(self) -> None:
        """Refuses what makes no sense, whatever the side."""
        if self.kind not in KINDS:
            raise UserError(f"kind is {self.kind!r}; mazes are 'random' or 'perfect'.")
        if self.endpoints not in ("far", "uniform"):
            raise UserError(f"endpoints is {self.endpoints!r}; give 'far' or 'uniform'.")
        if not 0 <= self.wall_share < 1:
            raise UserError(f"wall_share is {self.wall_share}; give 0 to less than 1.")
        if sorted(self.tie_break.split(",")) != sorted(MOVES):
            raise UserError(
                f"tie_break is {self.tie_break!r}; give each of {TIE_BREAK} once, "
                "with commas between them."
            )
        if self.shortest < 0 or self.longest < 0 or 0 < self.longest < self.shortest:
            raise UserError(
                f"shortest is {self.shortest} and longest {self.longest}; give the fewest and the "
                "most steps from start to goal, or 0 for no limit."
            )
        if self.kind == "perfect" and (self.wall_share, self.endpoints) != (WALL_SHARE, "far"):
            raise UserError(
                "wall_share and endpoints are for random mazes, and kind is 'perfect'; leave them "
                f"at {WALL_SHARE} and 'far'."
            )

    @property
    def order(self) -> list[int]:
        """Numbers of the moves (see `maze_search.MOVES`) in the order of the tie-break."""
        return [MOVES.index(name) for name in self.tie_break.split(",")]

    def settled(self, side: int) -> "Recipe":
        """The same with the defaults for a side: `shortest` 1 or more, `longest` 0 for no limit.

        Raises:
            UserError: no maze of that side has a path with so many steps.
        """
        least, most = self.shortest, self.longest
        if not least and not most:
            published = side == PUBLISHED_SIDE
            least, most = PUBLISHED_LENGTHS[self.kind] if published else (side, 0)
        rooms = ((side + 1) // 2) ** 2
        limit = 2 * (rooms - 1) if self.kind == "perfect" else side**2 - 1
        if max(least, most) > limit:
            raise UserError(
                f"shortest is {least} and longest {most}, but no path in a {self.kind} "
                f"{side}x{side} maze has more than {limit} steps; lower them or raise side."
            )
        return dataclasses.replace(self, shortest=max(least, 1), longest=most)
