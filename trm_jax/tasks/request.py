"""A request for a dataset."""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple


@dataclasses.dataclass(frozen=True)
class Request:
    """The description of a dataset to build.

    Attributes:
      source: "generate", "hub", a file or a directory; each task supports some of them.
      train: number of training puzzles; 0 for all that are left in the source.
      heldout: number of puzzles held out for choosing checkpoints and settings.
      test: number of puzzles set aside for the final score.
      copies: number of augmented copies of each puzzle, if the dataset stores them.
      seed: seed of the generator and of the choice of puzzles.
      settings: settings of the task, of type `Task.settings`.
    """

    source: str
    train: int
    heldout: int
    test: int
    copies: int
    seed: int
    settings: Any


class Edition(NamedTuple):
    """A name under which `trm data` builds a task, and the settings that it stands for."""

    name: str
    settings: Mapping[str, Any] = {}
