"""Reads mazes from CSV files, such as Maze-Hard (`source,question,answer,rating`)."""

import os
from pathlib import Path

from trm_jax.data import csv_rows
from trm_jax.tasks.maze.maze import Grid, Maze
from trm_jax.tasks.maze.score import score

HUB_REPOSITORY = "sapientinc/maze-30x30-hard-1k"


def read_csv(path: str | os.PathLike[str], maze: Maze) -> tuple[Grid, Grid]:
    """Reads all mazes of a file; see `csv_rows.read_csv`.

    Each question must have one start, one goal and no path, and each answer must be its question
    with a simple path between them. The path need not be a shortest one.

    Args:
        path: a CSV file, gzipped or not.
        maze: the mazes' side.

    Returns:
        Questions and answers, uint8 [M, S] tokens each, in the order of the file.

    Raises:
        UserError: the file or a row is invalid; the message names the file, line and reason.
    """
    kind = csv_rows.Kind(
        cells=maze.cells,
        table=lambda answers: maze.token_table(),
        symbols="'#' for a wall, ' ' or '.' for a free cell, S, G (or E), and 'o' for the path",
        other_size="give another side",
        first_wrong=lambda questions, answers: _first_wrong(maze, questions, answers),
    )
    return csv_rows.read_csv(path, kind)


def hub_file(split: str) -> Path:
    """Downloads (once) a file of Maze-Hard from the Hugging Face hub: "train" or "test".

    Raises:
        UserError: the extra `hub` is not installed, or the hub cannot be reached.
    """
    return csv_rows.hub_file(HUB_REPOSITORY, split)


def _first_wrong(maze: Maze, questions: Grid, answers: Grid) -> tuple[int, str] | None:
    valid, _ = score(questions, answers, maze.side)
    if valid.all():
        return None
    row = int(valid.argmin())
    reason = maze.check_question(questions[row])
    if reason:
        return row, f"the question cannot be solved ({reason})"
    reason = maze.check_answer(questions[row], answers[row])[0]
    return row, f"the answer does not solve the question ({reason})"
