"""Pictures of a run: learning curves, accuracy by depth, and a grid being solved."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from etils import epath

from trm_jax.core.errors import UserError
from trm_jax.tasks.sudoku.sudoku import Sudoku

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GIVEN, RIGHT, WRONG, GREY = "#222222", "#0a7d33", "#c62828", "#888888"
LINES = ("-", "--", ":", "-.")


class Point(NamedTuple):
    """Mean, smallest and largest value over the seeds, at one update or depth."""

    x: int
    mean: float
    low: float
    high: float


def empty_figure(
    size: tuple[float, float], layout: Literal["constrained"] | None = None
) -> "Figure":
    """A figure without axes, its width and height in inches.

    Raises:
      UserError: matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UserError("Pictures need matplotlib; run `pip install 'trm-jax[plot]'`.") from error
    figure = Figure(figsize=size, layout=layout)
    FigureCanvasAgg(figure)
    return figure


def new_figure(rows: int, columns: int, size: tuple[float, float]) -> tuple["Figure", Any]:
    """An empty figure and its axes [rows, columns].

    Raises:
      UserError: matplotlib is not installed.
    """
    figure = empty_figure(size, "constrained")
    return figure, figure.subplots(rows, columns, squeeze=False)


def learning_curve(axes: "Axes", entries: Sequence[dict[str, Any]]) -> None:
    """Exact accuracy against updates, out of the lines of metrics.jsonl."""
    curves = (
        ("train/all/exact_accuracy", "training, all rows", "-", "#1f77b4"),
        ("train/halted/exact_accuracy", "training, halted rows", ":", "#1f77b4"),
        ("heldout/exact_accuracy", "held-out puzzles (averaged weights)", "o-", "#d62728"),
    )
    for key, label, style, colour in curves:
        points = [(e["step"], 100 * e[key]) for e in entries if e.get(key) is not None]
        if points:
            axes.plot(*zip(*points, strict=True), style, color=colour, label=label)
    axes.set(xlabel="optimizer updates", ylabel="whole grid right, %", ylim=(-2, 102))
    axes.set_title("learning")
    axes.grid(alpha=0.3)
    axes.legend()


def accuracy_by_depth(axes: "Axes", by_depth: Sequence[dict[str, Any]], label: str) -> None:
    """Accuracy after each supervision step, out of an evaluation."""
    depth = [d["depth"] for d in by_depth]
    for key, name, style in (("exact_accuracy", "grids", "o-"), ("cell_accuracy", "cells", ":")):
        axes.plot(depth, [100 * d[key] for d in by_depth], style, label=f"{label}: {name}")
    axes.set(xlabel="supervision steps", ylabel="right, %")
    axes.set_title("accuracy by depth")
    axes.grid(alpha=0.3)
    axes.legend()


def bands(
    axes: "Axes", groups: Iterable[tuple[str, Sequence[Point]]], xlabel: str, title: str
) -> None:
    """A line for each group's mean, in a band from its lowest to its highest seed.

    Args:
      axes: to draw on.
      groups: label and points; each keeps its colour and line from one call to the next.
      xlabel: what `Point.x` is.
      title: of the axes.
    """
    for number, (label, points) in enumerate(groups):
        colour, style = f"C{number % 10}", LINES[number // 10 % len(LINES)]
        x = [p.x for p in points]
        axes.plot(x, [100 * p.mean for p in points], f".{style}", color=colour, label=label, lw=1.5)
        low, high = [100 * p.low for p in points], [100 * p.high for p in points]
        axes.fill_between(x, low, high, color=colour, alpha=0.12, lw=0)
    axes.set(xlabel=xlabel, ylabel="whole grid right, %", ylim=(-2, 102))
    axes.set_title(title)
    axes.grid(alpha=0.3)


def legend(figure: "Figure", axes: "Axes", title: str) -> None:
    """The labels of `axes`, once, beside all axes of the figure."""
    figure.legend(
        handles=axes.get_lines(), loc="outside right upper", title=title, fontsize=8, handlelength=3
    )


def solving(
    sudoku: Sudoku, question: np.ndarray, path: np.ndarray, confidence: np.ndarray, most: int = 6
) -> "Figure":
    """The question and the model's answers step by step.

    A cell is green where it agrees with the last answer and red where that changes it later.

    Args:
      sudoku: the kind of puzzle.
      question: uint8 [S].
      path: uint8 [N, S], answers by step.
      confidence: float [N].
      most: how many steps to show; the first ones and the last.
    """
    steps = list(range(len(path))) if len(path) <= most else [*range(most - 1), len(path) - 1]
    size = 0.28 * sudoku.side + 0.6
    figure, axes = new_figure(1, len(steps) + 1, (size * (len(steps) + 1), size + 0.3))
    sudoku_grid(axes[0, 0], sudoku, question, question, question)
    axes[0, 0].set_title("question", fontsize=10)
    for ax, step in zip(axes[0, 1:], steps, strict=True):
        sudoku_grid(ax, sudoku, question, path[step], path[-1])
        ax.set_title(f"step {step + 1}", fontsize=10)
        ax.set_xlabel(f"sure: {confidence[step]:.1%}", fontsize=9)
    return figure


def sudoku_grid(
    ax: "Axes", sudoku: Sudoku, question: np.ndarray, answer: np.ndarray, last: np.ndarray
) -> None:
    """Draws a Sudoku; cells that the question leaves blank are green where right, else red.

    Args:
      ax: to draw on.
      sudoku: the kind of puzzle.
      question: uint8 [S].
      answer: uint8 [S], what is drawn.
      last: uint8 [S], what is right.
    """
    side = sudoku.side
    text = sudoku.format_line(answer)
    for cell in range(sudoku.cells):
        row, column = divmod(cell, side)
        given = question[cell] > 1
        colour = GIVEN if given else RIGHT if answer[cell] == last[cell] else WRONG
        ax.text(
            column + 0.5,
            row + 0.52,
            text[cell].replace(".", ""),
            ha="center",
            va="center",
            color=colour,
            weight="bold" if given else "normal",
            fontsize=11,
        )
    for i in range(side + 1):
        ax.axhline(
            i,
            color=GIVEN if i % sudoku.box_rows == 0 else GREY,
            lw=1.5 if i % sudoku.box_rows == 0 else 0.5,
        )
        ax.axvline(
            i,
            color=GIVEN if i % sudoku.box_columns == 0 else GREY,
            lw=1.5 if i % sudoku.box_columns == 0 else 0.5,
        )
    ax.set(xlim=(0, side), ylim=(side, 0), xticks=[], yticks=[], aspect="equal")


def save(figure: "Figure", path: epath.PathLike) -> None:
    """Writes a PNG."""
    target = epath.Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as file:
        figure.savefig(file, format="png", dpi=110)
