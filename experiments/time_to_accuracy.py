r"""Time to accuracy: how much training the published recipe and the fastest one found need.

sweep  base                              target
four   experiments/sudoku_hard.py:four   95 % exact accuracy on held-out 4x4 puzzles
six    experiments/sudoku_hard.py:six    80 % exact accuracy on held-out 6x6 puzzles

    trm sweep --config experiments/sudoku_hard.py:four \
        --sweep experiments/time_to_accuracy.py:four --out runs/time_four --jobs 2
    trm report runs/time_four --out runs/time_four/report --reach 0.95

    trm sweep --config experiments/sudoku_hard.py:six \
        --sweep experiments/time_to_accuracy.py:six --out runs/time_six --jobs 2
    trm report runs/time_six --out runs/time_six/report --reach 0.80

"published" is the unchanged base, and "published_lr" has the best of several learning rates.
"quick" has one shallow recursion, a high learning rate, and smaller batches (4x4), or Muon and half
the supervision steps (6x6), so that slots take new puzzles twice as soon. "digits" is "quick" with
the digit-equivariant mixer, fields of width 16, and a quarter of the batch. All settings were
selected on other puzzles and another seed (`seed` 7, `data.seed` 7) than the reported ones.
docs/background/recipes.md has the results.
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
"""Updates between two evaluations, on 250 puzzles."""
SWEEPS = {"four": FOUR, "six": SIX}


def get_sweep(name: str = "four") -> sweep.Sweep:
    """The runs at one size."""
    if name not in SWEEPS:
        raise ValueError(f"unknown sweep {name!r}; choose one of {', '.join(SWEEPS)}")
    each = dict.fromkeys(("eval_every", "checkpoint_every", "log_every"), EVERY[name])
    each["data.heldout_examples"] = 250
    return sweep.checked([(arm, each | settings) for arm, settings in SWEEPS[name]])
