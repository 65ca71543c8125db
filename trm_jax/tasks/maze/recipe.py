"""Settings of the maze generator."""

import dataclasses
from typing import ClassVar

from trm_jax.core.errors import UserError
from trm_jax.core.settings import Settings, setting
from trm_jax.tasks.maze.paths import MOVES

KINDS = ("random", "perfect")
WALL_SHARE = 0.37
TIE_BREAK = ",".join(MOVES)
PUBLISHED_SIDE = 30
PUBLISHED_LENGTHS = {"random": (111, 0), "perfect": (100, 140)}
"""Min and max steps of a shortest path by kind, for the published side; 0 for no limit."""


@dataclasses.dataclass(frozen=True)
class MazeRecipe(Settings):
    """Settings of the maze generator, see `generate.generate`.

    Raises:
        UserError: a value is invalid.
    """

    GROUP: ClassVar[str] = "config.data.maze"

    kind: str = setting(
        "random",
        "Kind of generated mazes: random walls, or perfect, with only one path between two cells.",
        choices=KINDS,
    )
    wall_share: float = setting(
        WALL_SHARE, "Probability that a cell of a generated random maze is a wall.", low=0, below=1
    )
    shortest: int = setting(
        0,
        "Min number of steps of a generated maze's shortest path; 0 for a default by side.",
        low=0,
        high=10**5,
    )
    longest: int = setting(
        0,
        "Max number of steps of a generated maze's shortest path; 0 for no limit.",
        low=0,
        high=10**5,
    )
    tie_break: str = setting(
        TIE_BREAK,
        "Order of preference of the moves, which selects the answer among several shortest paths "
        "of a generated maze.",
    )
    endpoints: str = setting(
        "far",
        "Start and goal of a generated random maze: far apart, or uniform with rejection, as "
        "published.",
        choices=("far", "uniform"),
    )

    def __post_init__(self) -> None:
        """Refuses values that are invalid for any side."""
        super().__post_init__()
        if sorted(self.tie_break.split(",")) != sorted(MOVES):
            raise UserError(
                f"config.data.maze.tie_break is {self.tie_break!r}; give each of {TIE_BREAK} once, "
                "with commas between them."
            )
        if 0 < self.longest < self.shortest:
            raise UserError(
                f"config.data.maze.shortest is {self.shortest} and longest {self.longest}; give "
                "the min and max steps from start to goal, or 0 for no limit."
            )
        if self.kind == "perfect" and (self.wall_share, self.endpoints) != (WALL_SHARE, "far"):
            raise UserError(
                "config.data.maze.wall_share and endpoints are for random mazes, and kind is "
                f"'perfect'; leave them at {WALL_SHARE} and 'far'."
            )

    @property
    def order(self) -> list[int]:
        """Numbers of the moves (see `paths.MOVES`) in the order of the tie-break."""
        return [MOVES.index(name) for name in self.tie_break.split(",")]

    def settled(self, side: int) -> "MazeRecipe":
        """Resolves the defaults for a side: `shortest` 1 or more, `longest` 0 for no limit.

        Raises:
            UserError: no maze of this side has a path with so many steps.
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
