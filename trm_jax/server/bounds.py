"""What a server accepts at most."""

import dataclasses

from trm_jax.core.errors import UserError


@dataclasses.dataclass(frozen=True)
class Bounds:
    """Limits of a server.

    Attributes:
      queue: puzzles that wait for a row of the program; requests beyond them get 429.
      seconds: from a puzzle's arrival until it is given up.
      puzzles: of one request.
      traces: puzzles of one request that asks for traces.
      body_kib: size of a request's body, KiB.
      body_seconds: in which a request's body has to arrive.
      connections: open at the same time.
    """

    queue: int = 1024
    seconds: float = 30.0
    puzzles: int = 256
    traces: int = 8
    body_kib: int = 1024
    body_seconds: float = 10.0
    connections: int = 1024

    def __post_init__(self) -> None:
        """Refuses what makes no sense.

        Raises:
          UserError: names the flag.
        """
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if not 0 < value < 2**31:
                raise UserError(
                    f"--{FLAGS.get(field.name, field.name)} is {value}; give more than 0, below "
                    "2^31."
                )


FLAGS = {"seconds": "time_limit", "puzzles": "max_puzzles", "body_kib": "max_body"}
"""Flags of `trm serve` whose names are others than those of the attributes."""
