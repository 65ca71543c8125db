r"""Ablations of lattice deduction: those of the paper on 6x6 puzzles, on a CPU.

    trm sweep --config experiments/lattice.py:six --sweep experiments/lattice_ablations.py \
        --out runs/lattice_ablations --seeds 1
    trm eval --workdir runs/lattice_ablations/ARM/seed0 --passes 256 --chains 8   # each arm

Every arm has 400 updates, four sevenths of `six`, with a schedule of that length. The results are
in experiments/RESULTS.md, beside the paper's figures for 9x9 after 2,000 updates.
"""

import sweep

LATTICE = "model.lattice."


def get_sweep(name: str = "six") -> sweep.Sweep:
    """The runs of the ablations."""
    if name != "six":
        raise ValueError(f"unknown sweep {name!r}; choose six")
    arms = sweep.chain(
        [("base", {})],
        [
            ("no_digit_loss", {f"{LATTICE}digit_weight": 0.0}),
            ("equal_weights", {f"{LATTICE}positive_weight": 0.5}),
            ("no_conflict_token", {f"{LATTICE}conflict_token": False}),
            ("last_loop_only", {f"{LATTICE}last_loop_only": True}),
        ],
        sweep.axis("model.n", [1, 2, 4]),
    )
    short = {"steps": 400, "optimizer.warmup": 40}
    return sweep.checked([(arm, short | settings) for arm, settings in arms])
