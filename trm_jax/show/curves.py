"""Figures of a run: learning curves, accuracy by depth, and accuracy against compute."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from etils import epath

from trm_jax.core.files import write_whole
from trm_jax.show.figures import new_figure, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Row = Mapping[str, Any]
STYLES = {"halt": "-", "majority": "--", "oracle": ":"}
NAMES = {
    "halt": "most confident by halting head",
    "majority": "majority",
    "oracle": "any correct (oracle)",
}
LINES = ("-", "--", ":", "-.")


class Point(NamedTuple):
    """Mean, minimum and maximum over the seeds, at one update or depth `x`."""

    x: int
    mean: float
    low: float
    high: float


def learning_curve(axes: "Axes", entries: Sequence[dict[str, Any]]) -> None:
    """Plots exact accuracy against updates.

    Args:
      axes: axes to draw on.
      entries: lines of the run's metrics.jsonl.
    """
    curves = (
        ("train/all/exact_accuracy", "training, all rows", "-", "#1f77b4"),
        ("train/halted/exact_accuracy", "training, halted rows", ":", "#1f77b4"),
        ("heldout/exact_accuracy", "held-out puzzles (averaged weights)", "o-", "#d62728"),
    )
    for key, label, style, colour in curves:
        points = [(e["step"], 100 * e[key]) for e in entries if e.get(key) is not None]
        if points:
            axes.plot(*zip(*points, strict=True), style, color=colour, label=label)
    axes.set(xlabel="optimizer updates", ylabel="exact accuracy, %", ylim=(-2, 102))
    axes.set_title("learning")
    axes.grid(alpha=0.3)
    axes.legend()


def accuracy_by_depth(axes: "Axes", by_depth: Sequence[dict[str, Any]], label: str) -> None:
    """Plots accuracy after each supervision step.

    Args:
      axes: axes to draw on.
      by_depth: `by_depth` of an evaluation.
      label: name of the evaluation in the legend.
    """
    depth = [d["depth"] for d in by_depth]
    for key, name, style in (("exact_accuracy", "grids", "o-"), ("cell_accuracy", "cells", ":")):
        axes.plot(depth, [100 * d[key] for d in by_depth], style, label=f"{label}: {name}")
    axes.set(xlabel="supervision steps", ylabel="accuracy, %")
    axes.set_title("accuracy by depth")
    axes.grid(alpha=0.3)
    axes.legend()


def bands(
    axes: "Axes", groups: Iterable[tuple[str, Sequence[Point]]], xlabel: str, title: str
) -> None:
    """Plots each group's mean as a line, in a band from its lowest to its highest seed.

    Args:
      axes: axes to draw on.
      groups: label and points of each group; its index determines its colour and line style.
      xlabel: label of the x axis, `Point.x`.
      title: title of the axes.
    """
    for number, (label, points) in enumerate(groups):
        colour, style = f"C{number % 10}", LINES[number // 10 % len(LINES)]
        x = [p.x for p in points]
        axes.plot(x, [100 * p.mean for p in points], f".{style}", color=colour, label=label, lw=1.5)
        low, high = [100 * p.low for p in points], [100 * p.high for p in points]
        axes.fill_between(x, low, high, color=colour, alpha=0.12, lw=0)
    axes.set(xlabel=xlabel, ylabel="exact accuracy, %", ylim=(-2, 102))
    axes.set_title(title)
    axes.grid(alpha=0.3)


def write_curve(result: Mapping[str, Any], path: epath.PathLike) -> dict[str, str]:
    """Writes a result of `evaluate_curve` as a table and a figure.

    Args:
      result: the evaluation.
      path: path without a suffix.

    Returns:
      `csv` and `png`, the paths of the files.
    """
    target = epath.Path(path)
    names = {"csv": f"{target}.csv", "png": f"{target}.png"}
    rows = result["curve"]
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_whole(epath.Path(names["csv"]), text.getvalue())
    figure, axes = new_figure(1, 3, (15, 5.2))
    by_depth(axes[0, 0], rows)
    by_compute(axes[0, 1], rows)
    reliability(axes[0, 2], result["reliability"])
    handles, labels = axes[0, 1].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5, fontsize=8)
    save(figure, names["png"])
    return names


def by_depth(axes: "Axes", rows: Sequence[Row]) -> None:
    """Plots exact accuracy after each step, with a line for each rule and width."""
    _lines(axes, rows, "depth")
    axes.set(xlabel="supervision steps of each rollout", title="depth and width")


def by_compute(axes: "Axes", rows: Sequence[Row]) -> None:
    """Plots exact accuracy against the steps (and TFLOP) per puzzle, with points for halting."""
    _lines(axes, rows, "steps")
    for patience in dict.fromkeys(r["patience"] for r in rows if r["rule"] == "halting"):
        points = [
            (r["steps"], 100 * r["exact_accuracy"])
            for r in rows
            if r["rule"] == "halting" and r["patience"] == patience
        ]
        label = f"one rollout, halting, patience {patience}"
        mark = "os^v"[(patience - 1) % 4]
        axes.plot(*zip(*points, strict=True), mark, color="black", ms=4, alpha=0.6, label=label)
    tera = max(r["tflop"] / r["steps"] for r in rows)
    above = axes.secondary_xaxis("top", functions=(lambda s: s * tera, lambda t: t / tera))
    above.set_xlabel("TFLOP per puzzle", fontsize=8)
    above.tick_params(labelsize=7)
    axes.set(xlabel="supervision steps per puzzle, all rollouts")


def reliability(axes: "Axes", found: Mapping[str, Any]) -> None:
    """Plots a reliability diagram: accuracy by bin of halting probability."""
    bins = [i for i, count in enumerate(found["count"]) if count]
    axes.plot([0, 100], [0, 100], color="#999999", lw=1, label="perfect")
    axes.bar(
        [10 * i + 5 for i in range(len(found["count"]))],
        [100 * count / sum(found["count"]) for count in found["count"]],
        width=9,
        color="#bbccee",
        label="share of puzzles",
    )
    axes.plot(
        [100 * found["probability"][i] for i in bins],
        [100 * found["exact_accuracy"][i] for i in bins],
        "o-",
        color="#d62728",
        label="accuracy, by bin",
    )
    area = found["halt_auc"]
    text = "AUC -" if area is None else f"AUC {area:.3f}"
    axes.set(
        xlabel="halting probability, %",
        ylabel="%",
        xlim=(0, 100),
        ylim=(0, 102),
        title=f"halting head: {text}, calibration error {found['halt_error']:.3f}",
    )
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)


def _lines(axes: "Axes", rows: Sequence[Row], x: str) -> None:
    """Plots a line for each rule and width, one for a single rollout: there all rules agree."""
    search = [r for r in rows if r["rule"] in STYLES]
    widths = list(dict.fromkeys(r["width"] for r in search))
    for rule, style in STYLES.items():
        for number, width in enumerate(widths):
            if width == 1 and rule != "halt":
                continue
            points = [
                (r[x], 100 * r["exact_accuracy"])
                for r in search
                if r["rule"] == rule and r["width"] == width
            ]
            label = "one rollout" if width == 1 else f"{width} rollouts: {NAMES[rule]}"
            colour = f"C{number % 10}"
            axes.plot(*zip(*points, strict=True), style, color=colour, lw=1.4, label=label)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
    axes.set(ylabel="exact accuracy, %")
    axes.grid(alpha=0.3)
