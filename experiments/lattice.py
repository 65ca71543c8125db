r"""Lattice deduction: a tiny network that eliminates candidates, and a search that can abstain.

    trm train --config experiments/lattice.py:VARIANT --workdir runs/NAME [--config.a.b=value]
    trm eval --workdir runs/NAME [--passes 1024] [--chains 16]

variant  puzzles                                            recipe
four     4x4 Sudoku with up to four extra givens, generated  a minute on a laptop's CPU
six      6x6 Sudoku with at most one extra given, generated  five minutes on a laptop's CPU
nine     9x9 Sudoku, a local CSV or CSV.gz file              the published recipe

Source: "Lattice Deduction Transformers", arXiv 2605.08605. docs/background/lattice.md explains the
method, the search and all settings. The docstring of each variant's function describes it. Each of
the paper's ablations is one override:

    --config.model.n=4                                    loops
    --config.model.lattice.digit_weight=0                 no cross-entropy on the digits
    --config.model.lattice.positive_weight=0.5            equal to negative_weight
    --config.model.lattice.conflict_token=False           no conflict head
    --config.model.lattice.last_loop_only=True            loss on the last loop only
"""

from ml_collections import ConfigDict


def get_config(variant: str = "six") -> ConfigDict:
    """The config of a variant; all variants start from the published recipe."""
    variants = {f.__name__: f for f in (four, six, nine)}
    if variant not in variants:
        raise ValueError(f"unknown variant {variant!r}; choose one of {', '.join(variants)}")
    config = _published()
    config.name = f"lattice_{variant}"
    variants[variant](config)
    return config


def nine(config: ConfigDict) -> None:
    r"""The published recipe on 1,000 puzzles of a file in Sudoku-Extreme's columns.

    Published: 99.9 to 100 % of 1,000 test puzzles with search after 2,000 updates (three seeds; 1
    wrong in 3,000), 65 to 75 % with little search; 99.96 % after 4,000 updates with a smaller digit
    weight.
    Command: trm train --config experiments/lattice.py:nine --config.data.path=train.csv.gz \
                 --workdir runs/nine
             trm eval --workdir runs/nine --data test.csv.gz --passes 4096 --chains 64
    Ours: not yet run.
    """
    config.data.path = "train.csv.gz"


def six(config: ConfigDict) -> None:
    """6x6 Sudoku on a CPU.

    Command: trm train --config experiments/lattice.py:six --workdir runs/six
             trm eval --workdir runs/six
    2026-11-26, 2 shared cores of an Intel Xeon virtual machine, seeds 0 to 2: 511 to 526 seconds of
    processor time; with search, all of 500 held-out puzzles are solved, with 20 to 31 passes per
    puzzle; without search, 65.6 to 72.0 % are correct after 8 rounds.
    """
    _small(config)
    config.steps = 700
    config.optimizer.warmup = 70
    config.model.update({"width": 64, "n": 6})
    config.data.update({"base_examples": 1000, "sudoku": {"box": (2, 3), "extra_givens": 1}})


def four(config: ConfigDict) -> None:
    """4x4 Sudoku on a CPU.

    Command: trm train --config experiments/lattice.py:four --workdir runs/four
             trm eval --workdir runs/four
    2026-11-26, 2 shared cores of an Intel Xeon virtual machine, seeds 0 to 2: 38 to 62 seconds of
    processor time; with search, all of 500 held-out puzzles are solved, with 5 to 7 passes per
    puzzle; without search, 90.4 to 97.4 % are correct after 8 rounds.
    """
    _small(config)
    config.steps = 400
    config.optimizer.warmup = 40
    config.model.update({"width": 32, "n": 4})
    config.data.update({"base_examples": 150, "sudoku": {"box": (2, 2), "extra_givens": 4}})


def _published() -> ConfigDict:
    """The published recipe: 0.8 million parameters, 16 loops, AdamW.

    `copies` is 0, since symmetries are drawn on the device.
    """
    config = ConfigDict()
    config.batch_size = config.eval_batch_size = 512
    config.steps = 4000
    config.log_every = 50
    config.checkpoint_every = config.eval_every = 500
    config.model = {
        "kind": "lattice",
        "mixer": "attention",
        "positions": "learned",
        "prefix_tokens": 0,
        "width": 128,
        "heads": 4,
        "layers": 4,
        "T": 1,
        "n": 16,
        "N": 8,
    }
    config.optimizer = {
        "name": "adamw",
        "lr": 3e-3,
        "warmup": 400,
        "lr_min_ratio": 0.01,
        "b1": 0.9,
        "b2": 0.95,
        "weight_decay": 0.1,
        "clip": 1.0,
        "ema": 0.0,
    }
    config.data = {"task": "sudoku", "path": "generate", "base_examples": 1000, "copies": 0}
    return config


def _small(config: ConfigDict) -> None:
    """Settings shared by the small, generated puzzles: a narrow float32 network of two blocks."""
    config.batch_size = 96
    config.eval_batch_size = 256
    config.log_every = config.checkpoint_every = config.eval_every = 100
    config.steps_per_dispatch = 10
    config.model.update({"layers": 2, "dtype": "float32"})
    config.model.lattice = {"dropout": 0.0}
    config.data.heldout_examples = 500
