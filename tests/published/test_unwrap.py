"""State dicts as trainers wrap them: which weights are taken, and what is said of it."""

import collections

import numpy as np
import pytest

from tests.published.arrays import (
    FILE,
    Saved,
    arrays_of,
    assert_same,
    config_of,
    model_of,
    state_dict,
    torch_saved,
)
from trm_jax.core.errors import UserError
from trm_jax.published import convert
from trm_jax.published.torch_files import read_said
from trm_jax.published.unwrap import prefix

BUFFERS = ("H_init", "L_init", "puzzle_emb.weights")


@pytest.fixture(scope="module")
def arrays():
    return arrays_of(model_of(dtype="bfloat16"))


def halved(arrays):
    return {name: (array / 2).astype(array.dtype) for name, array in arrays.items()}


@pytest.mark.parametrize(
    "before",
    [
        "",
        "model.",
        "module.",
        "module._orig_mod.model.inner.",
        "_orig_mod.module.model.inner.",
        "net.",
        "model._orig_mod.model.inner.",
    ],
)
def test_names_lose_whatever_stands_before_them(tmp_path, arrays, before):
    found, words = read_said(torch_saved(tmp_path / "a.pt", state_dict(arrays, before)))
    assert_same(found, arrays)
    assert words == [f"removed the prefix {before!r}" if before else "the names have no prefix"]


@pytest.mark.parametrize("key", ["model", "state_dict", "model_state_dict", "weights"])
def test_the_only_state_dict_is_taken(tmp_path, arrays, key):
    optimizer = {"state": {0: {"exp_avg": Saved(np.ones(3, np.float32))}}, "param_groups": []}
    content = {"epoch": 3, "optimizer": optimizer, "args": None}
    content[key] = collections.OrderedDict(state_dict(arrays))
    found, words = read_said(torch_saved(tmp_path / "a.pt", content))
    assert_same(found, arrays)
    assert words == [f"took the weights under {key!r}"]


def test_averaged_weights_come_before_raw_ones(tmp_path, arrays):
    content = {"model": state_dict(arrays), "ema": state_dict(halved(arrays))}
    found, words = read_said(torch_saved(tmp_path / "a.pt", content))
    assert_same(found, halved(arrays))
    assert words == [
        "took the averaged weights under 'ema'",
        "left out the weights under 'model'",
    ]


def test_an_average_of_parameters_alone_gets_the_rest_from_the_model(tmp_path, arrays):
    """The published EMAHelper keeps no buffers: not the initial vectors, not the table."""
    average = {name: a for name, a in halved(arrays).items() if name not in BUFFERS}
    content = {
        "model": state_dict(arrays),
        "ema": {"mu": 0.999, "shadow": state_dict(average, "model.inner.")},
    }
    found, words = read_said(torch_saved(tmp_path / "a.pt", content))
    assert_same(found, average | {name: arrays[name] for name in BUFFERS})
    assert words[0] == "took the averaged weights under 'ema'/'shadow'"
    assert words[1].startswith("took H_init, L_init, puzzle_emb.weights from 'model', which")


def test_counts_beside_the_weights_are_left_out(tmp_path, arrays):
    tensors = state_dict(arrays, "module.model.inner.")
    tensors["n_averaged"] = Saved(np.asarray(7, np.int64))
    found, _ = read_said(torch_saved(tmp_path / "a.pt", tensors))
    assert_same(found, arrays)


def test_what_was_taken_is_among_the_notes(tmp_path, arrays):
    file = torch_saved(tmp_path / "a.ckpt", {"state_dict": state_dict(arrays)})
    plan = convert.plan(file, config_of())
    assert plan.notes[0] == "took the weights under 'state_dict'"


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_weights_of_16_bits_are_read_and_come_back(tmp_path, arrays, dtype):
    narrow = {name: array.astype(np.dtype(dtype)) for name, array in arrays.items()}
    plan = convert.plan(torch_saved(tmp_path / "a.pt", state_dict(narrow)), config_of())
    assert plan.model.config.dtype == ("bfloat16" if dtype == "bfloat16" else "float32")
    report = convert.from_torch(plan, tmp_path / "out", 2)
    assert report["agrees"]
    convert.to_torch(tmp_path / "out", tmp_path / "back.safetensors")
    assert_same(read_said(tmp_path / "back.safetensors")[0], narrow)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"encoder.weight": Saved(np.ones(2, np.float32))}, "no weights of a published model"),
        (
            {"model": {"layer.weight": Saved(np.ones(2, np.float32))}},
            "published model, only 'model'",
        ),
        (3, "holds a int, not a dict of tensors"),
    ],
)
def test_weights_of_something_else(tmp_path, content, words):
    with pytest.raises(UserError, match=words):
        read_said(torch_saved(tmp_path / "a.pt", content))


def test_prefixes():
    assert prefix("model.inner.H_init") == "model.inner."
    assert prefix("L_level.layers.0.mlp.down_proj.weight") == ""
    assert prefix("model.loss.weight") is None and prefix("model") is None and prefix("") is None
    assert prefix("a.H_init") is None


def test_npz_files_lose_their_prefix_too(tmp_path, arrays):
    plain = {f"module.{n}": a.astype(np.float32) for n, a in arrays.items()}
    np.savez(tmp_path / FILE, **plain)
    assert read_said(tmp_path / FILE)[1] == ["removed the prefix 'module.'"]
