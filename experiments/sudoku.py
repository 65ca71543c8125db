"""Sudoku, from a two-minute demonstration to the published recipe.

    trm train --config experiments/sudoku.py:VARIANT --workdir runs/NAME [--config.a.b=value]

variant            puzzles                                  purpose
demo               4x4, generated                           two minutes on a laptop's CPU
quick              4x4, generated                           the base of sweeps on a CPU
six                6x6, generated                           five minutes on a laptop's CPU
extreme            Sudoku-Extreme (9x9), from the hub       the published MLP recipe
extreme_attention  the same                                 the published attention recipe
hard               9x9, a local CSV or CSV.gz file          the published MLP recipe

Set the file of `hard` with --config.data.path=FILE. The docstring of each variant's function
describes it.
"""

from ml_collections import ConfigDict

PUBLISHED = {
    "data": {"task": "sudoku", "path": "hub"},
}
"""The published recipe is the default of all other settings (docs/reference/settings.md): 50,000
epochs of 1,000 puzzles in batches of 768."""


def get_config(variant: str = "demo") -> ConfigDict:
    """The config of a variant; all variants start from the published recipe."""
    variants = {f.__name__: f for f in (demo, quick, six, extreme, extreme_attention, hard)}
    if variant not in variants:
        raise ValueError(f"unknown variant {variant!r}; choose one of {', '.join(variants)}")
    config = ConfigDict(PUBLISHED)
    config.name = f"sudoku_{variant}"
    variants[variant](config)
    return config


def extreme(config: ConfigDict) -> None:
    """The published MLP recipe on Sudoku-Extreme.

    Published: 87.4 % on the test set (paper, table 4); reproductions span 79 to 87.
    Command: trm train --config experiments/sudoku.py:extreme --workdir runs/extreme
             trm eval --workdir runs/extreme --data hub
    Ours: not yet run.
    """


def extreme_attention(config: ConfigDict) -> None:
    """The published attention recipe on Sudoku-Extreme.

    Published: 74.7 % on the test set (paper, table 4).
    Ours: not yet run.
    """
    config.update({"model": {"mixer": "attention", "positions": "rotary"}})


def hard(config: ConfigDict) -> None:
    r"""The published MLP recipe on a local file in Sudoku-Extreme's columns.

    Command: trm train --config experiments/sudoku.py:hard --config.data.path=train.csv.gz \
                 --workdir runs/hard
             trm eval --workdir runs/hard --data test.csv.gz --steps 64
    Ours: not yet run at full width. At a tenth of the size, after seven minutes on a CPU, no grid
    is completely correct; see experiments/RESULTS.md.
    """
    config.data.path = "train.csv.gz"


def demo(config: ConfigDict) -> None:
    """4x4 Sudoku in about a minute on two CPU cores: `make demo`.

    2026-11-26, 2 shared cores of an AMD EPYC virtual machine, seed 0: 200 updates; of 500 held-out
    puzzles, none of them a symmetric copy of a training puzzle, 98.8 % are correct at depth 1 and
    99.8 % at depth 4 and deeper.
    """
    _small(config)
    config.update({"data": {"sudoku": {"box": (2, 2), "extra_givens": 4}}})
    config.update({"model": {"n": 1, "N": 8}})
    config.optimizer.lr = 4e-3
    config.steps = 200
    config.log_every = 20
    config.checkpoint_every = config.eval_every = 100


def quick(config: ConfigDict) -> None:
    """Half the width and batch of `demo`: the base of `experiments/ablations.py` on a CPU.

    It is meant for many short runs, not for accuracy; experiments/RESULTS.md has the sweep's table.
    """
    demo(config)
    config.batch_size = 32
    config.model.update({"width": 32, "unroll": False})
    config.optimizer.lr = 2e-3
    config.data.heldout_examples = 250
    config.steps = 300
    config.checkpoint_every = config.eval_every = 50


def six(config: ConfigDict) -> None:
    """6x6 Sudoku on a CPU.

    Command: trm train --config experiments/sudoku.py:six --workdir runs/six
             trm eval --workdir runs/six --steps 16
    2026-11-23, 2 cores of an AMD EPYC virtual machine, seed 0: 2,000 updates in 4 min 34 s; of 500
    held-out puzzles, which also selected the checkpoint, 83.6 % are correct at depth 1, 98.4 % at
    depth 3, and 99.6 % at depth 7 and deeper.
    """
    _small(config)
    config.update({"data": {"sudoku": {"box": (2, 3), "extra_givens": 6}}})
    config.update({"model": {"n": 2, "N": 8}})
    config.steps = 2000
    config.log_every = 50
    config.checkpoint_every = config.eval_every = 200


def _small(config: ConfigDict) -> None:
    """Settings shared by the small, generated puzzles: a narrow float32 network, a short EMA."""
    config.batch_size = 64
    config.eval_batch_size = 256
    model = {"width": 64, "heads": 4, "T": 2, "prefix_tokens": 1, "dtype": "float32"}
    optimizer = {"lr": 1e-3, "warmup": 50, "weight_decay": 0.1, "ema": 0.98}
    table = {"lr": 1e-3, "weight_decay": 0.1}
    data = {"path": "generate", "heldout_examples": 500}
    config.update({"model": model, "optimizer": optimizer, "table": table, "data": data})
