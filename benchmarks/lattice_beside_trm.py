r"""Compares lattice models and TRMs on the same puzzles: accuracy against compute, as a figure.

    python benchmarks/lattice_beside_trm.py --out lattice_trm.png \
        --lattice runs/six0 runs/six1 runs/six2 --trm runs/trm_quick

Left, training: held-out accuracy without search against the FLOPs of the updates so far; a star is
the share of puzzles solved with search. Right, solving at the end of training: accuracy against the
FLOPs per puzzle, for a TRM by depth (its newest `trm eval`), for a lattice model by the passes of
its search. FLOPs are those of matrix products, by formula.
"""

import argparse
from typing import TYPE_CHECKING, Any

from trm_jax.models.flops import step_flops
from trm_jax.show.figures import new_figure, save
from trm_jax.sweep.outcomes import HELDOUT, Outcome, find

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TERA = 1e12


def evaluation(outcome: Outcome) -> dict[str, Any]:
    """The evaluation to draw: the one with search if there is one, otherwise the deepest."""
    found = list(outcome.evaluations.values())
    searched = [each for each in found if "chain_search" in each]
    if searched:
        return min(searched, key=lambda each: each["chain_search"]["passes"])
    return max(found, key=lambda each: each["steps_used"])


def main() -> None:
    """Draws the figure."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    lattice = "work directories of lattice models"
    parser.add_argument("--lattice", nargs="+", required=True, help=lattice)
    parser.add_argument("--trm", nargs="+", required=True, help="work directories of TRMs")
    parser.add_argument("--out", required=True, help="PNG file to write")
    options = parser.parse_args()
    figure, axes = new_figure(1, 2, (11, 4.2))
    for kind, colour in (("trm", "#d62728"), ("lattice", "#1f77b4")):
        for number, path in enumerate(getattr(options, kind)):
            label = {"trm": "TRM", "lattice": "lattice"}[kind] if not number else None
            draw(axes[0], find([path])[0], colour, label)
    axes[0, 0].set(xlabel="training, TFLOP", xscale="log", title="training")
    axes[0, 1].set(xlabel="solving, TFLOP per puzzle", xscale="log", title="solving")
    for each in axes[0]:
        each.set(ylabel="exact accuracy on held-out puzzles, %", ylim=(-2, 102))
        each.grid(alpha=0.3)
        each.legend(fontsize=8)
    save(figure, options.out)
    print(f"wrote {options.out}")


def draw(axes: "list[Axes]", outcome: Outcome, colour: str, label: str | None) -> None:
    """Draws a run in both panels."""
    learned = outcome.values(HELDOUT)
    config = outcome.experiment.model_config(outcome.manifest)
    found, step = evaluation(outcome), step_flops(config, 1, train=False) / TERA
    plain = f"{label}, without search" if label else None
    x = [outcome.flops(update) / TERA for update in learned]
    axes[0].plot(x, [100 * v for v in learned.values()], ".-", color=colour, label=plain, lw=1)
    depth = [row["depth"] * step for row in found["by_depth"]]
    right = [100 * row["exact_accuracy"] for row in found["by_depth"]]
    axes[1].plot(depth, right, ".-", color=colour, label=plain, lw=1)
    search = found.get("chain_search")
    if not search:
        return
    solved = 100 * search["solved"]
    end = outcome.flops(found["checkpoint"]) / TERA
    marked = f"{label}, with search" if label else None
    axes[0].plot([end], [solved], "*", color=colour, ms=12, label=marked)
    passes = [point["passes"] * step for point in search["curve"]]
    shares = [100 * point["solved"] for point in search["curve"]]
    axes[1].plot(passes, shares, "*--", color=colour, label=marked, lw=1)


if __name__ == "__main__":
    main()
