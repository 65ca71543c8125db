r"""How much training an accuracy takes: the published recipe, and the quickest one found.

sweep  base                              to
four   experiments/sudoku_hard.py:four   95 % of held-out 4x4 puzzles exactly right
six    experiments/sudoku_hard.py:six    80 % of held-out 6x6 puzzles exactly right

    trm sweep --config experiments/sudoku_hard.py:four \
        --sweep experiments/time_to_accuracy.py:four --out runs/time_four --jobs 2
    trm report runs/time_four --out runs/time_four/report --reach 0.95

    trm sweep --config experiments/sudoku_hard.py:six \
        --sweep experiments/time_to_accuracy.py:six --out runs/time_six --jobs 2
    trm report runs/time_six --out runs/time_six/report --reach 0.80

"published" is the base as it stands, "published_lr" the same at the best of the learning rates
that were tried, and "quick" has one shallow recursion, a high rate, and besides smaller batches
(4x4), or Muon and half the supervision steps (6x6), so that slots are free for new puzzles twice as
soon. "digits" is that again with all digits alike, fields of 16, and a quarter of the batch. All
were chosen on other puzzles and another seed (`seed` 7, `data.seed` 7) than those that
are reported. What came of it is in experiments/recipes.md.
"""

import sweep

SHALLOW = {"model.gate": "norm", "model.T": 1, "model.n": 1, "optimizer.lr": 4e-3}
MUON = {"optimizer.name": "muon", "optimizer.muon_lr": 0.02, "optimizer.warmup": 30}
DIGITS = {"model.mixer": "digits", "model.prefix_tokens": 0, "model.width": 96}
FOUR: sweep.Sweep = [
    ("published", {"steps": 340}),
    ("published_lr", {"steps": 240, "optimizer.lr": 8e-3}),
    ("quick", SHALLOW | {"steps": 240, "batch_size": 16}),
]
SIX: sweep.Sweep = [
    ("published", {"steps": 960}),
    ("published_lr", {"steps": 600, "optimizer.lr": 4e-3}),
    ("quick", SHALLOW | MUON | {"steps": 480, "model.N": 4}),
    ("digits", SHALLOW | MUON | DIGITS | {"steps": 600, "model.N": 4, "batch_size": 16}),
]
EVERY = {"four": 10, "six": 40}
"""Updates between two evaluations, of 250 puzzles."""
SWEEPS = {"four": FOUR, "six": SIX}


def get_sweep(name: str = "four") -> sweep.Sweep:
    """The arms at one size."""
    if name not in SWEEPS:
        raise ValueError(f"unknown sweep {name!r}; choose one of {', '.join(SWEEPS)}")
    each = dict.fromkeys(("eval_every", "checkpoint_every", "log_every"), EVERY[name])
    each["data.heldout_examples"] = 250
    return sweep.checked([(arm, each | settings) for arm, settings in SWEEPS[name]])
