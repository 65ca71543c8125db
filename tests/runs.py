"""A run small enough for tests, and how to look at what it left."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np

from trm_jax.config.experiment import from_dict
from trm_jax.models.settings import ModelConfig
from trm_jax.tasks.sources import RENAMED, renamed
from trm_jax.train.state import TrainState

TINY_MODEL = ModelConfig(
    vocab=6,
    cells=16,
    width=16,
    heads=2,
    layers=1,
    T=2,
    n=2,
    prefix_tokens=2,
    dtype="float32",
    unroll=False,
)
ROOT = Path(__file__).parent.parent
CONFIG = {
    "name": "tiny",
    "batch_size": 8,
    "steps": 12,
    "log_every": 2,
    "eval_every": 8,
    "checkpoint_every": 4,
    "eval_batch_size": 8,
    "model": {
        "width": 16,
        "heads": 2,
        "layers": 1,
        "T": 2,
        "n": 1,
        "N": 3,
        "prefix_tokens": 1,
        "dtype": "float32",
        "unroll": False,
    },
    "optimizer": {"lr": 1e-3, "warmup": 4, "weight_decay": 0.1, "ema": 0.9},
    "table": {"lr": 1e-2, "weight_decay": 0.1},
    "data": {
        "base_examples": 30,
        "heldout_examples": 10,
        "copies": 10,
        "sudoku": {"box": [2, 2], "extra_givens": 4},
    },
    "mesh": {"data": 1},
}
TIMES = {"time", "train/steps_per_s", "train/examples_per_s"}


def experiment(**changes):
    """The tiny experiment; `model={...}` and the like are merged."""
    return from_dict(merged(CONFIG, renamed(changes, RENAMED)))


def merged(config, changes):
    """Nested settings with some of them changed."""
    inner = {
        key: merged(config.get(key, {}), value)
        for key, value in changes.items()
        if isinstance(value, dict)
    }
    return {**config, **changes, **inner}


def config_file(name):
    """A module of experiments/."""
    spec = importlib.util.spec_from_file_location(name, ROOT / f"experiments/{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


VARIANTS = {
    "sudoku": ["demo", "quick", "six", "extreme", "extreme_attention", "hard"],
    "lattice": ["four", "six", "nine"],
    "sudoku_hard": ["published", "fast", "digits", "four", "four_fast", "six", "six_fast"],
    "maze": ["small", "hard", "hard_n6"],
    "arc": ["debug", "arc1", "arc2"],
    "grid": ["small", "large"],
    "gym": ["small"],
    "futoshiki": ["small"],
    "numberlink": ["small"],
}
"""The config files of experiments/ and their variants."""


def variants():
    """Each as (file, variant)."""
    return [(file, variant) for file, names in VARIANTS.items() for variant in names]


def metrics(workdir):
    """Lines of metrics.jsonl without what the clock decides."""
    lines = (Path(workdir) / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k not in TIMES} for line in lines]


def arrays(state: TrainState):
    """Every array of a state, by name, keys as raw words."""
    state = state.replace(key=jax.random.key_data(state.key))
    leaves = jax.tree_util.tree_leaves_with_path(state)
    return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}


def assert_same(one, other):
    """Bit for bit, NaN included."""
    assert one.keys() == other.keys()
    for name, array in one.items():
        assert array.dtype == other[name].dtype, name
        assert array.tobytes() == other[name].tobytes(), name


def assert_near(one, other):
    """Floats to a thousandth of their array's largest, all else exactly; keys of `one`."""
    for name, array in one.items():
        if array.dtype.kind == "f":
            near = 1e-3 * max(np.abs(array).max(initial=0), 1e-3)
            np.testing.assert_allclose(other[name], array, rtol=0, atol=near, err_msg=name)
        else:
            np.testing.assert_array_equal(other[name], array, err_msg=name)


def environment(**changes):
    """For a subprocess: CPU, one device unless told otherwise."""
    env = {k: v for k, v in os.environ.items() if k != "JAX_NUM_CPU_DEVICES"}
    return env | {"JAX_PLATFORMS": "cpu", "PJRT_NPROC": "32"} | changes


def trm(*arguments, **changes):
    """Runs the command line in a process of its own, from the project's root."""
    return subprocess.run(
        [sys.executable, "-m", "trm_jax", *map(str, arguments)],
        cwd=ROOT,
        env=environment(**changes),
        capture_output=True,
        text=True,
        timeout=300,
    )
