"""The tables that `trm eval` prints."""

from collections.abc import Iterable, Mapping
from typing import Any

SHOW_EVERY = 16
BEFORE = {"exact_accuracy": "  exact", "cell_accuracy": "  cells"}
BEHIND = {"halt_auc": "halt AUC", "halt_error": "halt error"}


def table(result: dict[str, Any], scores: Mapping[str, str]) -> str:
    """Accuracy and calibration by depth: depths 1 to 16, then every sixteenth, and the last.

    Args:
      result: the evaluation, as it was written.
      scores: keys and column titles of the task's own scores (`Task.scores`).
    """
    rows = result["by_depth"] or [result]
    titles = {**BEFORE, **{key: name.rjust(7) for key, name in scores.items()}, **BEHIND}
    columns = [(key, name) for key, name in titles.items() if key in rows[-1]]
    lines = ["depth  " + "  ".join(name for _, name in columns)]
    if "search" in result:
        cells = (_cell(key, result[key]).rjust(len(name)) for key, name in columns)
        lines.append(f"{result['steps_used']:5.2f}  " + "  ".join(cells))
        lines += _selections(result)
    for row in result["by_depth"]:
        depth = row["depth"]
        if depth > SHOW_EVERY and depth % SHOW_EVERY and depth < result["steps_used"]:
            continue
        cells = (_cell(key, row[key]).rjust(len(name)) for key, name in columns)
        lines.append(f"{depth:5}  " + "  ".join(cells))
    if "chain_search" in result:
        lines += _chains(result)
    what = "puzzles"
    if "voting" in result:
        what = f"copies of {result['tests']} tests of {result['tasks']} tasks"
        passes = [f"{key} {value:.2%}" for key, value in result.items() if key.startswith("pass@")]
        lines.append(f"vote ({result['voting']}): {', '.join(passes) or 'no labels to score'}")
        lines.append(f"wrote {result['submission']}")
    search = result.get("chain_search")
    searched = f" and {search['seconds']:.1f} s of search" if search else ""
    lines.append(
        f"{result['data']} [{result['split']}]: {result['examples']} {what}, checkpoint "
        f"{result['checkpoint']}, {result['seconds']:.1f} s{searched}"
    )
    return "\n".join(lines)


def _chains(result: dict[str, Any]) -> Iterable[str]:
    """Yields the lines of a lattice model: of the single chain, then of the search."""
    found, limits = result["chain_search"], result["chain_search"]["limits"]
    yield (
        f"without search (one chain of {result['steps_used']} rounds): "
        f"{_cell('', result['exact_accuracy'])} right"
    )
    yield (
        f"with search (at most {limits['passes']} passes, {limits['chains']} chains at once"
        f"{_seconds(limits['seconds'])}): "
        f"{found['solved']:.2%} solved, {found['wrong']:.2%} wrong, "
        f"{found['abstained']:.2%} without an answer"
    )
    if found["other_solution"]:
        yield (
            f"{found['other_solution']:.2%} are solved by another solution than the label: these "
            "puzzles have several solutions"
        )
    yield (
        f"per puzzle: {found['passes']:.1f} passes (median {found['passes_median']:.0f}), "
        f"{found['rounds']:.1f} rounds, {found['chains']:.1f} chains, {found['tflop']:.4f} TFLOP"
    )
    points = [f"{p['passes']} {p['solved']:.1%}" for p in found["curve"]]
    yield f"solved by passes: {', '.join(points)}"


def _seconds(limit: float | None) -> str:
    return "" if limit is None else f", {limit:g} s"


def _cell(key: str, value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.4f}" if key.startswith("halt") else f"{value:.2%}"


def _selections(result: dict[str, Any]) -> Iterable[str]:
    """Yields the accuracy of each selection, and of oracles that check the answers."""
    if "by_selection" in result:
        for words, group in (("selected by", "by_selection"), ("oracle", "oracle")):
            # the empty key: all are accuracies, though one is named "halt"
            scores = (f"{name} {_cell('', score)}" for name, score in result[group].items())
            yield f"{words}: {', '.join(scores)}"
    if result["work"] > result["steps_used"] * 1.01:
        yield f"{result['work']:.2f} steps per puzzle were run, including stopped rollouts"


def curve_table(result: dict[str, Any]) -> str:
    """A summary of a compute curve, and the files that hold all of it.

    Args:
      result: the evaluation with a curve, as it was written.
    """
    rows = [r for r in result["curve"] if r["rule"] != "halting"]
    deepest = max(r["depth"] for r in rows)
    depths = sorted({2**i for i in range(deepest.bit_length())} | {deepest})
    shown = [r for r in rows if r["depth"] in depths and r["depth"] <= deepest]
    names = list(dict.fromkeys((r["rule"], r["width"]) for r in shown))
    lines = ["exact by depth" + "".join(f"{depth:>9}" for depth in depths)]
    for name in names:
        mine = {r["depth"]: r["exact_accuracy"] for r in shown if (r["rule"], r["width"]) == name}
        scores = "".join(f"{mine[depth]:>9.2%}" for depth in depths)
        lines.append(f"{name[0]:>8} of {name[1]:<3}{scores}")
    for row in result["curve"]:
        if row["rule"] == "halting":
            lines.append(
                f"halting above {row['threshold']}, patience {row['patience']}: "
                f"{row['exact_accuracy']:.2%} after {row['steps']:.2f} steps"
            )
    found = result["reliability"]
    area = "-" if found["halt_auc"] is None else f"{found['halt_auc']:.4f}"
    lines.append(f"halt AUC {area}, halt error {found['halt_error']:.4f}")
    lines.append(f"{result['examples']} puzzles; wrote {result['csv']} and {result['png']}")
    return "\n".join(lines)
