"""Reads golden files: numbers computed in float64 by the published PyTorch models."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from trm_jax.state import Weights
from trm_jax.types import Batch, ModelConfig, OptimizerConfig, TableConfig

MODEL = "model.inner."


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


def model_config(golden: Golden, dtype: str) -> ModelConfig:
    """Our name for each of the reference's settings."""
    c = golden.config
    positions = {"rope": "rotary", "learned": "learned", "none": "none"}[c["pos_encodings"]]
    prefix = c["puzzle_emb_len"] or -(-c["puzzle_emb_ndim"] // c["hidden_size"])
    return ModelConfig(
        vocab=c["vocab_size"],
        cells=c["seq_len"],
        width=c["hidden_size"],
        heads=c["num_heads"],
        layers=c["L_layers"],
        T=c["H_cycles"],
        n=c["L_cycles"],
        N=c["halt_max_steps"],
        mixer="mlp" if c["mlp_t"] else "attention",
        positions="none" if c["mlp_t"] and positions == "rotary" else positions,
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


def params_from_torch(arrays: dict[str, np.ndarray], dtype: Any) -> dict[str, Any]:
    """Dense parameters (or their gradients) as our tree; a torch weight is [out, in]."""
    inner = {k.removeprefix(MODEL): jnp.asarray(v, dtype) for k, v in arrays.items()}

    def kernel(name: str) -> dict[str, Any]:
        return {"kernel": inner[f"{name}.weight"].T}

    def swiglu(name: str) -> dict[str, Any]:
        return {k: kernel(f"{name}.{k}_proj") for k in ("gate_up", "down")}

    network = {}
    layers = {k.split(".")[2] for k in inner if k.startswith("L_level.layers.")}
    for i in sorted(layers, key=int):
        layer = f"L_level.layers.{i}"
        block = {"mlp": swiglu(f"{layer}.mlp")}
        if f"{layer}.mlp_t.down_proj.weight" in inner:
            block["token_mlp"] = swiglu(f"{layer}.mlp_t")
        else:
            names = {"qkv": "qkv_proj", "out": "o_proj"}
            block["attention"] = {k: kernel(f"{layer}.self_attn.{v}") for k, v in names.items()}
        network[f"block_{i}"] = block
    embedding = {"tokens": inner["embed_tokens.embedding_weight"]}
    if "embed_pos.embedding_weight" in inner:
        embedding["positions"] = inner["embed_pos.embedding_weight"]
    return {
        "embedding": embedding,
        "network": network,
        "answer_head": kernel("lm_head"),
        "halt_head": kernel("q_head") | {"bias": inner["q_head.bias"]},
    }


def weights(golden: Golden, prefix: str, dtype: Any) -> Weights:
    """Parameters, table and initial vectors below `prefix`."""
    arrays = golden.group(prefix)
    empty = np.zeros((golden.config["num_puzzle_identifiers"], 0))
    return Weights(
        params=params_from_torch(arrays, dtype),
        table=jnp.asarray(arrays.get(f"{MODEL}puzzle_emb.weights", empty), dtype),
        initial=tuple(jnp.asarray(arrays[f"{MODEL}{k}_init"], dtype) for k in ("H", "L")),
    )


def batch(golden: Golden, number: int) -> Batch:
    """Batch `number`."""
    arrays = golden.group(f"batch{number}/")
    return Batch(
        inputs=jnp.asarray(arrays["inputs"]),
        labels=jnp.asarray(arrays["labels"]),
        ids=jnp.asarray(arrays["puzzle_identifiers"]),
    )
