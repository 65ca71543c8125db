"""Compares runs: a table, its raw numbers, and a figure."""

import csv
import io
import statistics
from collections.abc import Sequence
from typing import Any

from etils import epath

from trm_jax.core.errors import UserError
from trm_jax.core.files import write_whole
from trm_jax.show import curves
from trm_jax.show import figures as draw
from trm_jax.sweep.outcomes import DEPTH_1, HELDOUT, Group, Outcome, find, grouped, mean, points

SUFFIXES = (".md", ".csv", ".png")
COLUMNS = (
    "name",
    "seeds",
    "parameters",
    "updates",
    "exact, %",
    "exact by seed, %",
    "depth 1, %",
    "best, %",
    "steps/s",
)
NOTE = """\
Exact accuracy on held-out puzzles: all cells correct. "exact" is the last evaluation at its last
depth, mean ± standard deviation (n - 1) over the seeds; "depth 1" is the same evaluation after one
supervision step; "best" is the best evaluation of each run, which is selected on these same
puzzles. Parameters are without the puzzle table; steps/s is the median over the log points.
"""
REACH = """\
"to {percent} %" is the training up to the first evaluation with at least this held-out accuracy,
one number per seed, "-" if it was not reached; FLOPs are counted by formula
(trm_jax/models/flops.py).
"""
UNFINISHED = "† unfinished: not included in the means, unless its whole group is unfinished.\n"


def report(
    roots: Sequence[epath.PathLike], out: epath.PathLike, reach: float | None = None
) -> list[epath.Path]:
    """Writes a table (.md), the raw numbers of each run (.csv) and a figure (.png).

    Args:
      roots: work directories, or folders of them.
      out: path to write to, with or without one of the suffixes.
      reach: held-out accuracy in [0, 1]; adds the updates and FLOPs to reach it to the table.

    Returns:
      The written files; without matplotlib there is no figure.

    Raises:
      UserError: no run has metrics yet.
    """
    groups = grouped(find(roots))
    if not any(o.entries for group in groups for o in group.outcomes):
        raise UserError(
            f"No run of {', '.join(map(str, roots))} has written metrics yet; "
            "wait until `trm train` reaches its first log point."
        )
    place = epath.Path(out)
    stem = place.stem if place.suffix in SUFFIXES else place.name
    table, raw, picture = (place.parent / f"{stem}{suffix}" for suffix in SUFFIXES)
    write_whole(table, markdown(groups, reach))
    write_whole(raw, comma_separated(groups, reach))
    if not draw.can_draw():
        return [table, raw]
    draw.save(_picture(groups), picture)
    return [table, raw, picture]


def markdown(groups: Sequence[Group], reach: float | None = None) -> str:
    """The Markdown table, with a row per group."""
    rows = [COLUMNS, *(_row(group) for group in groups)]
    note = NOTE
    if reach is not None:
        percent = f"{100 * reach:g}"
        titles = (f"updates to {percent} %", f"TFLOP to {percent} %")
        ways = [titles, *(_way(group, reach) for group in groups)]
        rows = [row + way for row, way in zip(rows, ways, strict=True)]
        note += REACH.format(percent=percent)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in rows]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    unfinished = any(not o.finished for group in groups for o in group.outcomes)
    return "\n".join(lines) + f"\n\n{note}" + (UNFINISHED if unfinished else "")


def _row(group: Group) -> tuple[str, ...]:
    runs = group.counted
    exact = [value for value in (o.last(HELDOUT) for o in runs) if value is not None]
    spread = f" ± {100 * statistics.stdev(exact):.1f}" if len(exact) > 1 else ""
    rate = mean(o.rate() for o in runs)
    return (
        group.label,
        str(len({o.experiment.seed for o in group.outcomes})),
        f"{group.parameters():,}",
        ", ".join(dict.fromkeys(_updates(o) for o in group.outcomes)),
        _percent(mean(exact)) + spread,
        " ".join(_percent(o.last(HELDOUT)) + _mark(o) for o in group.outcomes),
        _percent(mean(o.last(DEPTH_1) for o in runs)),
        _percent(mean(o.best() for o in runs)),
        "-" if rate is None else f"{rate:.2f}",
    )


def _way(group: Group, reach: float) -> tuple[str, str]:
    """Updates and TFLOP to reach an accuracy, for each seed."""
    updates, flops = zip(*(_reached(run, reach) for run in group.outcomes), strict=True)
    counts = ("-" if u is None else f"{u:,}" for u in updates)
    return " ".join(counts), " ".join("-" if f is None else f"{f / 1e12:.3g}" for f in flops)


def _reached(run: Outcome, reach: float) -> tuple[int | None, int | None]:
    """Updates and FLOPs to reach an accuracy; None if it was not reached."""
    updates = run.reached(reach)
    return updates, None if updates is None else run.flops(updates)


def _updates(run: Outcome) -> str:
    return f"{run.updates:,}" if run.finished else f"{run.updates:,}† of {run.experiment.steps:,}"


def _mark(run: Outcome) -> str:
    return "" if run.finished else "†"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"


def comma_separated(groups: Sequence[Group], reach: float | None = None) -> str:
    """The CSV text with a line per run, unrounded; empty where there is no value."""
    text = io.StringIO()
    writer: Any = None
    for group in groups:
        parameters = group.parameters()
        for run in group.outcomes:
            row = {
                "name": group.label,
                "seed": run.experiment.seed,
                "workdir": run.path,
                "finished": int(run.finished),
                "parameters": parameters,
                "updates": run.updates,
                "exact_accuracy": run.last(HELDOUT),
                "exact_accuracy_depth_1": run.last(DEPTH_1),
                "best_exact_accuracy": run.best(),
                "steps_per_s": run.rate(),
            }
            if reach is not None:
                row["updates_to_reach"], row["flops_to_reach"] = _reached(run, reach)
            if writer is None:
                writer = csv.DictWriter(text, row, lineterminator="\n")
                writer.writeheader()
            writer.writerow(row)
    return text.getvalue()


def _picture(groups: Sequence[Group]) -> Any:
    """The figure: one run in detail, or several runs with a band per group."""
    runs = [run for group in groups for run in group.outcomes]
    evaluated = any(run.evaluations for run in runs)
    columns = 2 if evaluated else 1
    if len(runs) == 1:
        figure, axes = draw.new_figure(1, columns, (5.5 * columns, 3.8))
        curves.learning_curve(axes[0, 0], runs[0].entries)
        for name, evaluation in runs[0].evaluations.items():
            curves.accuracy_by_depth(axes[0, 1], evaluation["by_depth"], name)
        return figure
    size = (5.5 * columns + 2.5, max(3.8, 0.22 * len(groups)))
    figure, axes = draw.new_figure(1, columns, size)
    names = [g.label + _unfinished(g) for g in groups]
    rows = [points(o.values(HELDOUT) for o in g.counted) for g in groups]
    learning = zip(names, rows, strict=True)
    curves.bands(axes[0, 0], learning, "optimizer updates", "held-out puzzles")
    if evaluated:
        rows = [points(o.by_depth() for o in g.counted) for g in groups]
        depth = zip(names, rows, strict=True)
        curves.bands(axes[0, 1], depth, "supervision steps", "accuracy by depth")
    draw.legend(figure, axes[0, 0], "mean; band: lowest to highest seed")
    return figure


def _unfinished(group: Group) -> str:
    return "" if all(run.finished for run in group.counted) else " (unfinished)"
