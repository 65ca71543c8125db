"""What is asked for when a dataset is built."""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple


@dataclasses.dataclass(frozen=True)
class Request:
    """A dataset to be built.

    Attributes:
      source: "generate", "hub", a file or a directory, as the task takes them.
      train: puzzles to train on; 0 for all that a source has left.
      heldout: puzzles set aside for choosing checkpoints and settings.
      test: puzzles set aside for the final score.
      copies: augmented copies of each puzzle, where the dataset has to know them.
      seed: of the choice of puzzles and of a generator.
      settings: the task's own, of type `Task.settings`.
    """

    source: str
    train: int
    heldout: int
    test: int
    copies: int
    seed: int
    settings: Any


class Edition(NamedTuple):
    """A name under which `trm data` builds a task, and the settings that stand behind it."""

    name: str
    settings: Mapping[str, Any] = {}
