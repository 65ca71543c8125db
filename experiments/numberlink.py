"""Numberlink: like letters joined by paths that fill the grid, on a CPU.

trm train --config experiments/numberlink.py:VARIANT --workdir runs/NAME [--config.a.b=value]
"""

from ml_collections import ConfigDict


def get_config(variant: str = "small") -> ConfigDict:
    """The config of a variant."""
    variants = {f.__name__: f for f in (small, six)}
    if variant not in variants:
        raise ValueError(f"unknown variant {variant!r}; choose one of {', '.join(variants)}")
    config = _base()
    config.name = f"numberlink_{variant}"
    variants[variant](config)
    return config


def small(config: ConfigDict) -> None:
    """4x4 Futoshiki on a CPU."""
    config.data.numberlink = {"side": 5, "letters": 5}
    config.steps = 1200


def six(config: ConfigDict) -> None:
    """5x5 Futoshiki."""
    config.data.numberlink = {"side": 6, "letters": 6}
    config.steps = 2000


def _base() -> ConfigDict:
    """A narrow float32 network and a quick average."""
    config = ConfigDict()
    config.batch_size = 32
    config.eval_batch_size = 256
    config.log_every = 50
    config.checkpoint_every = config.eval_every = 300
    config.model = {
        "mixer": "mlp",
        "width": 80,
        "heads": 4,
        "gate": "norm",
        "T": 1,
        "n": 1,
        "N": 8,
        "prefix_tokens": 1,
        "dtype": "float32",
    }
    config.optimizer = {
        "name": "muon",
        "muon_lr": 0.02,
        "lr": 4e-3,
        "warmup": 30,
        "lr_min_ratio": 0.0,
        "weight_decay": 0.1,
        "ema": 0.98,
    }
    config.table = {"lr": 1e-3, "weight_decay": 0.1}
    config.data = {
        "task": "numberlink",
        "path": "generate",
        "base_examples": 3000,
        "heldout_examples": 500,
    }
    return config
