"""Arrays under the published names, for tests of what reads and writes them."""

import io
import json
import pickle
import sys
import types
import zipfile

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


class Saved:
    """Stands for a tensor of PyTorch's in `torch_saved`: an array, and where its numbers lie."""

    def __init__(self, array, storage=None, offset=0, stride=None):
        self.array = np.asarray(array)
        self.storage = np.ascontiguousarray(self.array) if storage is None else storage
        self.offset = offset
        steps = np.cumprod([1, *self.array.shape[:0:-1]])[::-1]
        self.stride = tuple(map(int, steps)) if stride is None else stride
        self.stride = () if not self.array.ndim else self.stride

    def __reduce__(self):
        rebuild = sys.modules["torch._utils"]._rebuild_tensor_v2
        shape = self.array.shape
        return rebuild, (Numbers(self.storage), self.offset, shape, self.stride, False, {})


class Numbers:
    def __init__(self, array):
        self.array = array


STORAGES = {"float32": "Float", "float16": "Half", "bfloat16": "BFloat16", "int64": "Long"}


def torch_saved(path, content, damage=lambda files: files):
    """Writes nested dicts with `Saved` in them as torch.save does, without PyTorch."""
    files, fake = {}, {name: types.ModuleType(name) for name in ("torch", "torch._utils")}

    def named(name, module):
        made = type(name, (), {"__module__": module, "__qualname__": name})
        setattr(fake[module], name, made)
        return made

    named("_rebuild_tensor_v2", "torch._utils")
    storages = {key: named(f"{name}Storage", "torch") for key, name in STORAGES.items()}

    class Pickler(pickle.Pickler):
        def persistent_id(self, value):
            if not isinstance(value, Numbers):
                return None
            key, flat = str(len(files)), value.array.reshape(-1)
            files[f"data/{key}"] = flat.tobytes()
            return "storage", storages[str(flat.dtype)], key, "cpu", flat.size

    before = {name: sys.modules.get(name) for name in fake}
    sys.modules.update(fake)
    try:
        stream = io.BytesIO()
        Pickler(stream, protocol=2).dump(content)
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module
    files = damage({"data.pkl": stream.getvalue(), "byteorder": b"little", **files})
    with zipfile.ZipFile(path, "w") as archive:
        for name, raw in files.items():
            archive.writestr(f"archive/{name}", raw)
    return path


def state_dict(arrays, prefix=PREFIXES[0]):
    """Arrays as tensors under their full names."""
    return {prefix + name: Saved(array) for name, array in arrays.items()}
