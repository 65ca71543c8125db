"""Reads golden files: numbers computed in float64 by the published PyTorch models."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from trm_jax.config.experiment import OptimizerConfig, TableConfig
from trm_jax.core.types import Batch
from trm_jax.models import Model, get_model
from trm_jax.models.settings import ModelConfig
from trm_jax.models.weights import Weights
from trm_jax.published import torch_names

MODEL = "model.inner."
OWN = Path(__file__).parent / "data"


def files(folder: Path | str | None = None) -> list[Path]:
    """The files of a model each in a folder, the project's own by default."""
    folder = Path(folder or OWN)
    found = [path for path in sorted(folder.glob("*.npz")) if path.stem != "arc_vote"]
    assert found, f"no golden file in {folder}"
    return found


@dataclasses.dataclass(frozen=True)
class Golden:
    """One golden file."""

    name: str
    arrays: dict[str, np.ndarray]
    config: dict[str, Any]
    optimizer: dict[str, Any]

    def group(self, prefix: str) -> dict[str, np.ndarray]:
        """Arrays below `prefix`, by the rest of their names."""
        return {k[len(prefix) :]: v for k, v in self.arrays.items() if k.startswith(prefix)}

    def steps(self, mode: str) -> int:
        """Supervision steps recorded in "eval" or "train" mode."""
        return sum(k.startswith(mode) and k.endswith("/loss") for k in self.arrays)


def load(path: Path) -> Golden:
    """Reads NAME.npz."""
    arrays = dict(np.load(path))
    config, optimizer = (json.loads(str(arrays.pop(f"{k}.json"))) for k in ("config", "optimizer"))
    return Golden(path.stem, arrays, config, optimizer)


def kind(golden: Golden) -> str:
    """Our name of the model, told by the arrays it has."""
    names = {k.removeprefix(MODEL) for k in golden.group("param/")}
    levels = {k.split(".")[0] for k in names if "_level." in k}
    if levels == {"H_level", "L_level"}:
        return "hrm"
    if levels == {"H_level"}:
        return "transformer"
    if "H_init" not in names:
        return "trm_single_z"
    if "L1_init" in names:
        return "trm_multi_z"
    return "trm" if golden.config["no_ACT_continue"] else "trm_continue"


def model_config(golden: Golden, dtype: str) -> ModelConfig:
    """Our name for each of the reference's settings."""
    c, ours = golden.config, kind(golden)
    assert c["loss"] == "stablemax_cross_entropy", f"no such loss here: {c['loss']}"
    hierarchical = ours in ("hrm", "transformer")  # which have no setting for the prefix
    prefix = 0 if hierarchical else c["puzzle_emb_len"]
    prefix = prefix or -(-c["puzzle_emb_ndim"] // c["hidden_size"])
    mixer = "mlp" if c["mlp_t"] else "attention"
    positions = {"rope": "rotary", "learned": "learned", "none": "none"}[c["pos_encodings"]]
    return ModelConfig(
        vocab=c["vocab_size"],
        cells=c["seq_len"],
        kind=ours,
        width=c["hidden_size"],
        heads=c["num_heads"],
        layers=c["H_layers"] if ours == "transformer" else c["L_layers"],
        y_layers=c["H_layers"] if ours == "hrm" else 0,
        T=c["H_cycles"],
        n=c["L_cycles"],
        N=c["halt_max_steps"],
        mixer=mixer,
        # The published MLP is told to use rotary positions, and has no attention to use them in.
        positions="none" if (mixer, positions) == ("mlp", "rotary") else positions,
        prefix_tokens=prefix if c["puzzle_emb_ndim"] else 0,
        row_width=c["puzzle_emb_ndim"],
        expansion=c["expansion"],
        halt_exploration=c["halt_exploration_prob"],
        dtype=dtype,
        unroll=False,
    )


def optimizer_configs(golden: Golden) -> tuple[OptimizerConfig, TableConfig]:
    """The four updates use a constant rate."""
    o = golden.optimizer
    dense = OptimizerConfig(
        name={"atan2": "adam_atan2", "adamw": "adamw"}[o["name"]],
        lr=o["lr"],
        warmup=0,
        weight_decay=o["weight_decay"],
        b1=o["betas"][0],
        b2=o["betas"][1],
        ema=o["ema_decay"],
    )
    return dense, TableConfig(lr=o["emb_lr"], weight_decay=o["emb_weight_decay"])


def model(golden: Golden, dtype: str) -> Model:
    """The model that the file's numbers were computed with."""
    return get_model(model_config(golden, dtype))


def params(model: Model, arrays: dict[str, np.ndarray], dtype: str) -> Any:
    """Dense parameters, or their gradients or averages, as our tree."""
    return _tree(model, arrays, dtype)["params"]


def weights(golden: Golden, prefix: str, dtype: str) -> Weights:
    """Parameters, table and initial vectors below `prefix`."""
    tree = _tree(model(golden, dtype), golden.group(prefix), dtype)
    empty = jnp.zeros((golden.config["num_puzzle_identifiers"], 0), dtype)
    return Weights(**{"table": empty} | tree)


def _tree(model: Model, arrays: dict[str, np.ndarray], dtype: str) -> dict[str, Any]:
    """Every array of `arrays` has to find its place."""
    inner = {k.removeprefix(MODEL): jnp.asarray(v, dtype) for k, v in arrays.items()}
    unknown = set(inner) - {entry.torch for entry in torch_names.entries(model)}
    assert not unknown, f"no place for {sorted(unknown)}"
    return torch_names.from_torch(model, inner)


def batch(golden: Golden, number: int) -> Batch:
    """Batch `number`."""
    arrays = golden.group(f"batch{number}/")
    return Batch(
        inputs=jnp.asarray(arrays["inputs"]),
        labels=jnp.asarray(arrays["labels"]),
        ids=jnp.asarray(arrays["puzzle_identifiers"]),
    )
