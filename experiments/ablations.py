r"""The ablations of the TRM paper (arXiv 2510.04871): every row of its tables 1, 2 and 3 as a run.

sweep    what it varies                                        rows
table1   one thing at a time, and HRM                          9
table2   the number of latent features                         3
table3   depth: k latent updates and T recursions, both kinds  14
all      all of these, each configuration once                 23

Full size (published: Sudoku-Extreme, 1,000 puzzles, the numbers in `Row.published`). Not yet run:

    trm sweep --config experiments/sudoku.py:extreme --sweep experiments/ablations.py:table1 \
        --out runs/ablations
    trm report runs/ablations --out runs/ablations/report

All rows on 4x4 puzzles, three seeds each, in an hour on two CPU cores (2026-11-23; the table and
the picture are in experiments/RESULTS.md):

    trm sweep --config experiments/sudoku.py:quick --sweep experiments/ablations.py:all \
        --out runs/ablations --jobs 2
    trm report runs/ablations --out runs/ablations/report

A row sets the kind of model, its depth and its number of layers; width, heads, batch, learning rate
and data are those of the base config. So a row has the same meaning for any base, but its published
accuracy is for the full size only. Published HRM has no moving average, so `optimizer.ema` is 0
there; "out of memory" is the paper's own entry for two rows of table 3.
"""

from typing import Any, NamedTuple

import sweep


class Row(NamedTuple):
    """One row of a table.

    Attributes:
      name: name of the run.
      published: test accuracy on Sudoku-Extreme in %; None if the paper ran out of memory.
      overrides: settings by dotted name.
    """

    name: str
    published: float | None
    overrides: dict[str, Any]


def _trm(name: str, published: float | None, **changes: Any) -> Row:
    """TRM as published, except for some of the model's settings."""
    model = {"kind": "trm", "T": 3, "n": 6, "layers": 2, "mixer": "mlp", "positions": "none"}
    return Row(name, published, {f"model.{k}": v for k, v in (model | changes).items()})


def _hrm(k: int, T: int, published: float) -> Row:
    """HRM with T high-level updates, each after k low-level updates."""
    model = {"kind": "hrm", "T": T, "n": k, "layers": 4, "mixer": "attention"}
    model |= {"positions": "rotary", "prefix_tokens": 1}
    overrides = {f"model.{key}": value for key, value in model.items()}
    return Row(f"hrm_k{k}_T{T}", published, overrides | {"optimizer.ema": 0.0})


def _without_average(name: str, published: float) -> Row:
    row = _trm(name, published)
    return row._replace(overrides=row.overrides | {"optimizer.ema": 0.0})


TRM = _trm("trm", 87.4)
HRM = _hrm(2, 2, 55.0)
TABLE1 = (
    HRM,
    TRM,
    _trm("trm_continue_loss", 86.1, kind="trm_continue"),
    _trm("trm_two_networks", 82.4, kind="trm_two_networks"),
    _without_average("trm_no_ema", 79.9),
    _trm("trm_4_layers_n3", 79.5, layers=4, n=3),
    _trm("trm_attention", 74.7, mixer="attention", positions="rotary"),
    _trm("trm_T2_n2", 73.7, T=2, n=2),
    _trm("trm_one_step_gradient", 56.5, kind="trm_one_step"),
)
TABLE2 = (
    TRM,
    _trm("trm_multi_z", 77.6, kind="trm_multi_z"),
    _trm("trm_single_z", 71.9, kind="trm_single_z"),
)
# TRM with parameter k has n = 2k, since it has two layers and HRM has four.
TABLE3 = (
    _hrm(1, 1, 46.4),
    _trm("trm_k1_T1", 63.2, n=2, T=1),
    HRM,
    _trm("trm_k2_T2", 81.9, n=4, T=2),
    _hrm(3, 3, 61.6),
    TRM,
    _hrm(4, 4, 59.5),
    _trm("trm_k4_T4", 84.2, n=8, T=4),
    _hrm(6, 3, 62.3),
    _trm("trm_k6_T3", None, n=12, T=3),
    _hrm(3, 6, 58.8),
    _trm("trm_k3_T6", 85.8, n=6, T=6),
    _hrm(6, 6, 57.5),
    _trm("trm_k6_T6", None, n=12, T=6),
)
TABLES = {
    "table1": TABLE1,
    "table2": TABLE2,
    "table3": TABLE3,
    "all": tuple({row.name: row for row in TABLE1 + TABLE2 + TABLE3}.values()),
}


def get_sweep(name: str = "all") -> sweep.Sweep:
    """The rows of a table as runs."""
    if name not in TABLES:
        raise ValueError(f"unknown sweep {name!r}; choose one of {', '.join(TABLES)}")
    return sweep.chain([(row.name, row.overrides) for row in TABLES[name]])
