r"""Grids of reasoning-gym, which generates puzzles and verifies answers.

docs/how-to/reasoning-gym.md describes the task.

    trm train --config experiments/gym.py --config.data.gym.dataset=NAME --workdir runs/NAME

variant  puzzles                             what for
small    mini_sudoku, or any other by name   minutes on a laptop's CPU
"""

from ml_collections import ConfigDict


def get_config(variant: str = "small") -> ConfigDict:
    """The config of a variant."""
    if variant != "small":
        raise ValueError(f"unknown variant {variant!r}; choose small")
    config = ConfigDict({"name": "gym_small"})
    small(config)
    return config


def small(config: ConfigDict) -> None:
    """A narrow float32 network for a CPU.

    Command: trm train --config gym:small --workdir runs/gym
    2026-11-26, 2 shared cores of an Intel Xeon virtual machine, seed 0, reasoning-gym 0.1.25's
    mini_sudoku: 500 updates in 76 s of processor time; at depth 8, 98.0 % of 200 held-out puzzles
    are right after 200 updates, and all from 300 on.
    """
    config.batch_size = 64
    config.eval_batch_size = 256
    config.steps = 500
    config.log_every = 50
    config.checkpoint_every = config.eval_every = 100
    model: dict = {"width": 64, "heads": 4, "T": 2, "n": 1, "N": 8, "prefix_tokens": 1}
    model |= {"mixer": "mlp", "positions": "none", "dtype": "float32"}
    optimizer = {"lr": 2e-3, "warmup": 50, "weight_decay": 0.1, "ema": 0.98}
    data = {"task": "gym", "path": "generate", "base_examples": 2000, "heldout_examples": 200}
    config.update({"model": model, "optimizer": optimizer, "data": data})
    config.update({"table": {"lr": 1e-3, "weight_decay": 0.1}})
