r"""Training recipes with one change at a time, each with the FLOPs of the plain recipe.

sweep  base                              updates of the plain recipe  at T, n
four   experiments/sudoku_hard.py:four   160                          2, 2
six    experiments/sudoku_hard.py:six    1000                         2, 2

    trm sweep --config experiments/sudoku_hard.py:four --sweep experiments/recipes.py:four \
        --out runs/recipes
    trm report runs/recipes --out runs/recipes/report

An update costs (T + 2) (n + 1) network evaluations: T recursions forward, and the last one backward
at twice the cost; K chains cost K T (n + 1) more. Arms whose updates cost more or less than the
plain recipe's have fewer or more updates. docs/background/recipes.md describes each change and its
results.
Muon is run with and without the gate that it is said to need, and the two recipes that were
published as a whole are also run in parts.
"""

import math
from typing import Any

import sweep

SIZES = {"four": (160, 2, 2), "six": (1000, 2, 2)}
"""Number of updates of the plain recipe, its T and its n."""

MUON = {"optimizer.name": "muon", "optimizer.muon_lr": 0.01}
GATE = {"model.gate": "norm"}
SOFTMAX = {"loss.kind": "softmax"}
SMOOTHING = {"loss.label_smoothing": 0.2}
HALT = {"loss.halt_weight": 0.05}
COSINE = {"optimizer.lr_min_ratio": 0.0}
CLIP = {"optimizer.clip": 1.0}
START = {"model.start": "random"}
SETTLE = {"model.damping": 0.05, "model.noise": 0.01}
CHAINS = 4


def cost(T: int, n: int, chains: int = 1) -> int:
    """Network evaluations per update and example; a backward one counts as two."""
    return (T + 2 + (chains if chains > 1 else 0) * T) * (n + 1)


def curriculum(T: int, n: int) -> tuple[tuple[float, int, int], ...]:
    """The stages of CGAR, arXiv 2511.08653: one, two and three thirds of the depth, rounded up."""
    thirds = [(math.ceil(k * T / 3), math.ceil(k * n / 3)) for k in (1, 2, 3)]
    stages = [(share, *depth) for share, depth in zip((0.0, 0.3, 0.6), thirds, strict=True)]
    return tuple(s for before, s in zip([None, *thirds], stages, strict=False) if s[1:] != before)


def arms(name: str) -> list[tuple[str, float, dict[str, Any]]]:
    """The arms at one size: (name, network evaluations per update, settings)."""
    _, T, n = SIZES[name]
    plain = cost(T, n)
    stages = curriculum(T, n)
    ends = [*(share for share, _, _ in stages[1:]), 1.0]
    staged = sum((end - s[0]) * cost(*s[1:]) for end, s in zip(ends, stages, strict=True))
    return [
        ("plain", plain, {}),
        ("muon", plain, MUON),
        ("gate", plain, GATE),
        ("muon_gate", plain, MUON | GATE),
        ("softmax", plain, SOFTMAX),
        ("smoothing", plain, SMOOTHING),
        ("halt_weight", plain, HALT),
        ("cosine", plain, COSINE),
        ("clip", plain, CLIP),
        ("fast", plain, MUON | GATE | SOFTMAX | SMOOTHING | HALT | COSINE | CLIP),
        ("deep", cost(2 * T, n + 1), {"model.T": 2 * T, "model.n": n + 1}),
        ("step_decay", plain, {"loss.step_decay": 0.7}),
        ("curriculum", staged, {"curriculum": stages}),
        ("start", plain, START),
        ("settle", plain, SETTLE),
        ("eqr", plain, START | SETTLE),
        ("chains", cost(T, n, CHAINS), START | {"chains": CHAINS}),
    ]


def get_sweep(name: str = "four") -> sweep.Sweep:
    """The arms at one size as runs, each with its number of updates."""
    if name not in SIZES:
        raise ValueError(f"unknown sweep {name!r}; choose one of {', '.join(SIZES)}")
    updates, T, n = SIZES[name]
    plain = {"model.T": T, "model.n": n}
    return sweep.chain(
        [
            (arm, plain | settings | {"steps": round(updates * cost(T, n) / each)})
            for arm, each, settings in arms(name)
        ]
    )
