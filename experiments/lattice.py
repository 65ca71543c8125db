"""placeholder"""
from ml_collections import ConfigDict


def get_config(variant: str = "six") -> ConfigDict:
    variants = {f.__name__: f for f in (four, six, nine)}
    config = _lattice()
    variants[variant](config)
    config.name = f"lattice_{variant}"
    return config


def _lattice() -> ConfigDict:
    return ConfigDict({
        "model": {"kind": "lattice", "mixer": "attention", "positions": "learned", "prefix_tokens": 0, "T": 1,
                  "width": 128, "heads": 4, "layers": 4, "n": 16, "N": 8, "unroll": True},
        "optimizer": {"name": "adamw", "lr": 3e-3, "b2": 0.95, "weight_decay": 0.1, "clip": 1.0, "ema": 0.0, "lr_min_ratio": 0.01},
        "data": {"task": "sudoku", "copies": 0, "path": "generate"},
    })


def nine(config):
    config.batch_size = 512
    config.steps = 4000
    config.optimizer.warmup = 400
    config.data.path = "train.csv.gz"


def six(config):
    config.batch_size = 96
    config.eval_batch_size = 256
    config.steps = 1800
    config.log_every = 50
    config.steps_per_dispatch = 10
    config.checkpoint_every = config.eval_every = 300
    config.model.update({"width": 64, "layers": 2, "n": 6, "dtype": "float32", "lattice": {"dropout": 0.0}})
    config.optimizer.warmup = 180
    config.data.update({"heldout_examples": 500, "base_examples": 1000, "sudoku": {"box": (2, 3), "extra_givens": 1}})


def four(config):
    six(config)
    config.steps = 1500
    config.checkpoint_every = config.eval_every = 250
    config.optimizer.warmup = 150
    config.model.update({"width": 32, "n": 4})
    config.data.update({"base_examples": 150, "heldout_examples": 500, "sudoku": {"box": (2, 2), "extra_givens": 4}})
