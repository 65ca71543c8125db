r"""Recipes for hard Sudokus: published, faster, and equivariant to permutations of the digits.

    trm train --config experiments/sudoku_hard.py:VARIANT --workdir runs/NAME [--config.a.b=value]

variant     puzzles                                   recipe
published   9x9, a local CSV like Sudoku-Extreme's    TRM's: 65,104 updates, batch 768
fast        the same                                  "Speed is Confidence": 8,000, batch 384
digits      the same                                  digit-equivariant: 30,000, batch 768
four        4x4 with three extra givens, generated    TRM's, small, for a CPU
four_fast   the same                                  the faster one, small, with equal FLOPs
six         6x6 with two extra givens, generated      TRM's, small
six_fast    the same                                  the faster one, small, with equal FLOPs

docs/background/recipes.md describes the parts of the faster recipe and their sources;
`experiments/recipes.py` runs each part alone. Set the file of the large variants with
--config.data.path=FILE. The docstring of each variant's function describes it.
"""

import importlib.util
from pathlib import Path

from ml_collections import ConfigDict

FAST = {
    "model": {"gate": "norm", "prefix_tokens": 1},
    "loss": {"kind": "softmax", "label_smoothing": 0.2, "halt_weight": 0.05},
    "optimizer": {"name": "muon", "warmup": 0, "lr_min_ratio": 0.0, "clip": 1.0},
}
"""Changes of "Speed is Confidence", arXiv 2601.19085, section 3.4, except depth and length."""


def get_config(variant: str = "four") -> ConfigDict:
    """The config of a variant; all variants start from the published recipe."""
    variants = {f.__name__: f for f in (published, fast, digits, four, four_fast, six, six_fast)}
    if variant not in variants:
        raise ValueError(f"unknown variant {variant!r}; choose one of {', '.join(variants)}")
    config = _sudoku("hard")
    variants[variant](config)
    config.name = f"sudoku_hard_{variant}"
    return config


def published(config: ConfigDict) -> None:
    r"""The published MLP recipe.

    Published: 87.4 % on Sudoku-Extreme's test set (TRM paper, table 4).
    Command: trm train --config experiments/sudoku_hard.py:published \
                 --config.data.path=train.csv.gz --workdir runs/published
             trm eval --workdir runs/published --data test.csv.gz
    Ours: not yet run.
    """


def fast(config: ConfigDict) -> None:
    r"""Muon, a normalised gate, softmax with label smoothing, twice as deep, an eighth as long.

    Published: 85.5 +- 1.3 % on 38,400 test puzzles, one chain, 48 minutes on an RTX 5090 (section
    5); about a tenth of the FLOPs of `published`. Their parameters are bfloat16; here they are
    float32, with bfloat16 activations.
    Command: trm train --config experiments/sudoku_hard.py:fast \
                 --config.data.path=train.csv.gz --workdir runs/fast
             trm eval --workdir runs/fast --data test.csv.gz
    Ours: not yet run.
    """
    _faster(config)
    config.update({"model": {"T": 6, "n": 9}, "optimizer": {"ema": 0.9, "ema_start": 5000}})
    config.batch_size = 384
    config.steps = 8000
    config.eval_every = 1000


def digits(config: ConfigDict) -> None:
    r"""Equivariant to permutations of digits: a sixth of the parameters, 1.15 times the FLOPs.

    Published (the "DEC" cell's repository, 2026, one seed, width 192 per digit): 95.9 % on
    Sudoku-Extreme's test set after 16 steps, 99.2 % after 64. A quarter of its training rows are
    "anchors", which start near their answer; these are not implemented here. Not all constants of
    its optimizer are known: learning rate, weight decay and EMA are those it gives for TRM.
    Command: trm train --config experiments/sudoku_hard.py:digits \
                 --config.data.path=train.csv.gz --workdir runs/digits
             trm eval --workdir runs/digits --data test.csv.gz --steps 64
    Its nine fields have 2.5 times the activations of `published` (benchmarks/roofline.py); if they
    do not fit into memory, add --config.model.remat=block --config.model.unroll=False.
    Ours: not yet run.
    """
    model = {"mixer": "digits", "width": 9 * 192, "prefix_tokens": 0}
    model |= {"start": "random", "damping": 0.05, "noise": 0.01}
    config.update({"model": model, "optimizer": {"name": "adamw"}})
    config.steps = 30_000


def four(config: ConfigDict) -> None:
    """The published recipe on 4x4 puzzles, stopped before it converges.

    2026-11-25, 2 cores of an AMD EPYC virtual machine, shared, seed 0: 160 updates in 25 s; 43.2 %
    of 250 held-out puzzles correct. docs/background/recipes.md has more results.
    """
    config.update(_sudoku("quick"))
    config.update({"data": {"sudoku": {"extra_givens": 3}}, "model": {"T": 2, "n": 2}})
    config.steps = 160
    config.checkpoint_every = config.eval_every = 40


def four_fast(config: ConfigDict) -> None:
    """The faster recipe with the depth of `four`, and so the same FLOPs.

    2026-11-25, as `four`, but with lr 1e-3: 82.0 % correct.
    """
    four(config)
    _faster(config)
    config.update({"optimizer": SMALL_RATES})


def six(config: ConfigDict) -> None:
    """The published recipe on 6x6 puzzles with few extra givens.

    2026-11-26, commit aa1f0b5, 2 cores of an AMD EPYC virtual machine, shared, 960 updates instead
    of 1,000: 92.4, 94.4 and 92.8 % of 250 held-out puzzles correct (seeds 0, 1, 2).
    """
    config.update(_sudoku("six"))
    config.update({"data": {"sudoku": {"extra_givens": 2}}})
    config.steps = 1000


def six_fast(config: ConfigDict) -> None:
    """The faster recipe with the FLOPs of `six`. Not yet run."""
    six(config)
    _faster(config)
    config.update({"optimizer": SMALL_RATES})


SMALL_RATES = {"muon_lr": 0.01, "lr": 2e-3}
"""Learning rates of the small networks with Muon."""


def _faster(config: ConfigDict) -> None:
    config.update(FAST)


def _sudoku(variant: str) -> ConfigDict:
    """A variant of experiments/sudoku.py."""
    path = Path(__file__).with_name("sudoku.py")
    spec = importlib.util.spec_from_file_location("sudoku", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    config: ConfigDict = module.get_config(variant)
    return config
