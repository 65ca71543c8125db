r"""Ablations of lattice deduction: those of the paper on 6x6 puzzles, on a CPU.

    trm sweep --config experiments/lattice.py:six --sweep experiments/lattice_ablations.py \
        --out runs/lattice_ablations --seeds 1
    trm eval --workdir runs/lattice_ablations/ARM/seed0 --passes 128 --chains 8   # each arm

Every arm has the 700 updates of `six`: after 400 the full method, too, solves only 3 % with search.
Results: experiments/RESULTS.md, beside the paper's figures for 9x9 after 2,000 updates.
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
    return sweep.checked(arms)
