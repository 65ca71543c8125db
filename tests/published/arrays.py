"""Arrays under the published names, for tests of what reads and writes them."""

import json

import jax
import ml_dtypes
import numpy as np

from tests.runs import CONFIG
from trm_jax.models import get_model
from trm_jax.models.settings import ModelConfig
from trm_jax.models.weights import init_weights
from trm_jax.published import torch_names
from trm_jax.published.torch_files import PREFIXES, write

TORCH = "PyTorch is not installed; pip install 'trm-jax[torch]'"
CELLS = {"vocab": 6, "cells": 16}
SMALL = {"width": 16, "heads": 2, "layers": 1, "T": 2, "n": 2, "N": 2, "prefix_tokens": 2}
ATTENTION = {"mixer": "attention", "positions": "rotary"}
FILE = "weights.npz"
LAYER = "L_level.layers.0"


def model_of(**changes):
    return get_model(ModelConfig(**(CELLS | SMALL | {"dtype": "float32"} | changes)))


def arrays_of(model, rows=3):
    """A state dict of random numbers."""
    shapes = torch_names.shapes(model, lambda: init_weights(jax.random.key(0), model, rows))
    rng = np.random.default_rng(0)
    dtype = ml_dtypes.bfloat16 if model.config.dtype == "bfloat16" else np.float32
    return {
        name: (rng.normal(size=shape) * 0.2).astype(dtype if name.endswith("_init") else np.float32)
        for name, shape in shapes.items()
    }


def config_of(**model):
    """Nested settings, as from a config file."""
    return json.loads(json.dumps(CONFIG)) | {"model": CONFIG["model"] | SMALL | model}


def saved(path, arrays, prefix=PREFIXES[0]):
    write(path, arrays, prefix)
    return path


def assert_same(one, other):
    """Bit for bit."""
    assert one.keys() == other.keys()
    for name, array in one.items():
        assert array.dtype == other[name].dtype, name
        assert array.shape == other[name].shape, name
        assert array.tobytes() == other[name].tobytes(), name
