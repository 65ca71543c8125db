"""A config of the toy task with the toy mixer: small enough for a CPU in seconds."""

from pathlib import Path

from ml_collections import ConfigDict

HERE = Path(__file__).parent


def get_config(variant: str = "mlp") -> ConfigDict:
    """The task alone ("mlp"), or with the toy mixer too ("pool")."""
    model = {"width": 32, "heads": 2, "layers": 1, "T": 1, "n": 1, "N": 4, "prefix_tokens": 1}
    model |= {"dtype": "float32", "unroll": False}
    if variant == "pool":
        model |= {"mixer": "pool", "positions": "learned"}
    return ConfigDict(
        {
            "name": f"latin_{variant}",
            "plugins": (str(HERE / "latin.py"), str(HERE / "pool.py")),
            "batch_size": 32,
            "steps": 60,
            "log_every": 10,
            "checkpoint_every": 30,
            "eval_every": 30,
            "eval_batch_size": 32,
            "model": model,
            "optimizer": {"lr": 3e-3, "warmup": 10, "weight_decay": 0.1, "ema": 0.9},
            "table": {"lr": 1e-3},
            "data": {
                "task": "latin",
                "base_examples": 200,
                "heldout_examples": 32,
                "copies": 8,
                "latin": {"side": 4, "blanks": 4},
            },
        }
    )
