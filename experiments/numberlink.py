"""Numberlink: equal letters are joined by paths that fill the grid, on a CPU.

    trm train --config experiments/numberlink.py:small --workdir runs/NAME [--config.a.b=value]

The variant's docstring has what was measured; docs/how-to/puzzles.md describes the task.
"""

from ml_collections import ConfigDict


def get_config(variant: str = "small") -> ConfigDict:
    """The config of a variant."""
    variants = {f.__name__: f for f in (small,)}
    if variant not in variants:
        raise ValueError(f"unknown variant {variant!r}; choose one of {', '.join(variants)}")
    config = ConfigDict({"name": f"numberlink_{variant}"})
    variants[variant](config)
    return config


def small(config: ConfigDict) -> None:
    """5x5 Numberlink on a CPU.

    Command: trm train --config experiments/numberlink.py:small --workdir runs/numberlink
             trm eval --workdir runs/numberlink
    2026-11-26, 2 shared cores of an Intel Xeon virtual machine, seed 0 only: 2,400 updates in 271
    seconds of processor time, with evaluations and generating the puzzles. Of 500 held-out puzzles,
    on which the checkpoint and the settings were chosen too, 89.2 % are right at depth 1, 96.0 % at
    3 and 95.0 % at 8. A run of 1,200 updates: 57.8 % at 8. Both baselines of
    benchmarks/baselines.py: 0 %.
    """
    config.steps = 2400
    config.batch_size = 32
    config.eval_batch_size = 256
    config.log_every = 100
    config.checkpoint_every = config.eval_every = 400
    model: dict = {"mixer": "mlp", "gate": "norm", "width": 80, "heads": 4, "T": 1, "n": 1, "N": 8}
    model |= {"prefix_tokens": 1, "dtype": "float32"}
    optimizer = {"name": "muon", "muon_lr": 0.02, "lr": 4e-3, "warmup": 30, "lr_min_ratio": 0.0}
    optimizer |= {"weight_decay": 0.1, "ema": 0.98}
    table = {"lr": 1e-3, "weight_decay": 0.1}
    data = {"task": "numberlink", "path": "generate", "heldout_examples": 500}
    data |= {"base_examples": 3000, "numberlink": {"side": 5, "letters": 5}}
    config.update({"model": model, "optimizer": optimizer, "table": table, "data": data})
