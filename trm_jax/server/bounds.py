"""The limits of a server."""

import dataclasses

from trm_jax.core.errors import UserError


@dataclasses.dataclass(frozen=True)
class Bounds:
    """Limits of a server.

    Attributes:
      queue: maximum number of waiting puzzles; requests beyond it get status 429.
      seconds: time limit of a puzzle from its arrival, in seconds.
      puzzles: maximum number of puzzles in a request.
      traces: maximum number of puzzles in a request for traces.
      body_kib: maximum size of a request's body, in KiB.
      body_seconds: time limit for the arrival of a request's body, in seconds.
      connections: maximum number of open connections.
    """

    queue: int = 1024
    seconds: float = 30.0
    puzzles: int = 256
    traces: int = 8
    body_kib: int = 1024
    body_seconds: float = 10.0
    connections: int = 1024

    def __post_init__(self) -> None:
        """Checks the limits.

        Raises:
          UserError: a limit is out of range; names its flag.
        """
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if not 0 < value < 2**31:
                raise UserError(
                    f"--{FLAGS.get(field.name, field.name)} is {value}; give more than 0, below "
                    "2^31."
                )


FLAGS = {"seconds": "time_limit", "puzzles": "max_puzzles", "body_kib": "max_body"}
"""Flags of `trm serve` by attribute, if their names differ."""
