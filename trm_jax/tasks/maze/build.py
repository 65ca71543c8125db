"""Builds maze datasets from the generator, the Hugging Face hub or a CSV file."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from trm_jax.core.errors import UserError
from trm_jax.data.choice import Numbers, check_counts, choose
from trm_jax.data.csv_rows import file_facts
from trm_jax.data.format import Dataset, assemble
from trm_jax.tasks.maze.generate import generate
from trm_jax.tasks.maze.maze import Grid, Maze
from trm_jax.tasks.maze.paths import PATH, WALL
from trm_jax.tasks.maze.read import HUB_REPOSITORY, hub_file, read_csv
from trm_jax.tasks.maze.recipe import TIE_BREAK, WALL_SHARE, MazeRecipe
from trm_jax.tasks.maze.score import score, shortest_paths

BUILDER_VERSION = 1

_BLOCK = 2048  # number of mazes searched at once; for 30x30 about 50 MB


def build(
    *,
    side: int,
    source: str,
    train: int,
    heldout: int,
    test: int = 0,
    seed: int,
    kind: str = "random",
    wall_share: float = WALL_SHARE,
    shortest: int = 0,
    longest: int = 0,
    tie_break: str = TIE_BREAK,
    endpoints: str = "far",
) -> Dataset:
    """Builds a dataset whose splits share no maze.

    The choice of mazes is a pure function of the seed and the source's contents, see
    `choice.choose` (for generated mazes, only if the numbers are equal).

    Args:
        side: number of rows of a maze.
        source: "generate", "hub" (Maze-Hard's training file) or the path of a CSV file.
        train: number of training mazes; 0 for all that remain of a file.
        heldout: number of held-out mazes for choosing checkpoints, from the same file.
        test: number of test mazes from the same file; for a separate test file see `build_test`.
        seed: any integer.
        kind: only with "generate", like all that follow; see `generate.generate`.
        wall_share: see `generate.generate`.
        shortest: see `generate.generate`.
        longest: see `generate.generate`.
        tie_break: see `generate.generate`.
        endpoints: see `generate.generate`.

    Raises:
        UserError: a row is invalid, there are too few mazes, or a value is invalid.
    """
    maze = Maze(side)
    counts = {"train": train, "heldout": heldout, "test": test}
    check_counts(source, **counts)
    recipe = MazeRecipe(kind, wall_share, shortest, longest, tie_break, endpoints)
    if source == "generate":
        mazes = train + heldout + test
        inputs, labels = generate(maze, seed, mazes, **recipe.to_dict())
        settled = recipe.settled(side).to_dict()
        facts: dict[str, Any] = {"kind": "generate", "recipe": settled}
    else:
        _refuse_recipe(source, recipe)
        inputs, labels, facts = _read(source, "train", maze)
    kept, splits = choose(len(inputs), facts.get("name", source), **counts, seed=seed)
    return _assemble(maze, inputs[kept], labels[kept], splits, seed, facts)


def build_test(source: str, side: int) -> Dataset:
    """Builds a dataset with the split "test" from a CSV file, or "hub" for the hub's test file.

    Raises:
        UserError: the file or one of its rows is wrong.
    """
    maze = Maze(side)
    inputs, labels, facts = _read(source, "test", maze)
    return _assemble(maze, inputs, labels, {"test": np.arange(len(inputs))}, 0, facts)


def statistics(inputs: Grid, labels: Grid, side: int) -> dict[str, Any]:
    """Statistics of a set of mazes, as plain data.

    Args:
        inputs: questions, uint8 [M, S], M at least 1.
        labels: their answers, uint8 [M, S].
        side: number of rows of a maze.

    Returns:
        `path_steps` of the answers (min, median, max); `wall_share`, the fraction of cells that are
        walls; and the fractions of mazes whose answer is a shortest path, `shortest_labels`, and
        that have `several_shortest_paths`.
    """
    shortest, several = [], []
    for first in range(0, len(inputs), _BLOCK):
        block = slice(first, first + _BLOCK)
        shortest.append(score(inputs[block], labels[block], side)[1])
        several.append(shortest_paths(inputs[block], side) > 1)
    steps = (labels == PATH).sum(axis=1) + 1
    return {
        "path_steps": {
            "min": int(steps.min()),
            "median": float(np.median(steps)),
            "max": int(steps.max()),
        },
        "wall_share": round(float((inputs == WALL).mean()), 4),
        "shortest_labels": round(float(np.concatenate(shortest).mean()), 4),
        "several_shortest_paths": round(float(np.concatenate(several).mean()), 4),
    }


def _refuse_recipe(source: str, recipe: MazeRecipe) -> None:
    """Refuses settings of the generator for a file."""
    for field in dataclasses.fields(MazeRecipe):
        value = getattr(recipe, field.name)
        if value != field.default:
            raise UserError(
                f"{field.name} is {value!r}, but mazes from {source} are not generated; "
                f"leave it at {field.default!r}."
            )


def _read(source: str, split: str, maze: Maze) -> tuple[Grid, Grid, dict[str, Any]]:
    """Reads questions, answers and the manifest's facts about the file."""
    path = hub_file(split) if source == "hub" else Path(source)
    inputs, labels = read_csv(path, maze)
    return inputs, labels, file_facts(path, HUB_REPOSITORY if source == "hub" else None)


def _assemble(
    maze: Maze,
    inputs: Grid,
    labels: Grid,
    splits: dict[str, Numbers],
    seed: int,
    source: dict[str, Any],
) -> Dataset:
    facts = {
        "task": "maze",
        "side": maze.side,
        "vocab": maze.vocab,
        "table_rows": 1,
        "seed": seed,
        "source": source | {"statistics": statistics(inputs, labels, maze.side)},
        "builder_version": BUILDER_VERSION,
    }
    return assemble(inputs, labels, np.zeros(len(inputs), np.int32), splits, facts)
