"""What the arrays of a file tell, what a config adds, and where they contradict each other."""

import ml_dtypes
import numpy as np
import pytest

from tests.published.arrays import (
    ATTENTION,
    CELLS,
    FILE,
    LAYER,
    arrays_of,
    config_of,
    model_of,
    saved,
)
from trm_jax.config.experiment import from_dict
from trm_jax.core.errors import UserError
from trm_jax.models import get_model
from trm_jax.published import convert
from trm_jax.published.settle import settle
from trm_jax.published.shapes import infer


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"positions": "learned", "dtype": "bfloat16"},
        {"prefix_tokens": 0, "layers": 3},
        {"row_width": 24, "expansion": 40.0},
        ATTENTION,
        ATTENTION | {"positions": "learned"},
        ATTENTION | {"kind": "trm_single_z", "prefix_tokens": 0},
        ATTENTION | {"kind": "trm_multi_z", "n": 5},
        ATTENTION | {"kind": "hrm", "layers": 2, "y_layers": 3},
        ATTENTION | {"kind": "transformer", "layers": 2},
    ],
    ids=str,
)
def test_what_shapes_tell(changes):
    model = model_of(**changes)
    arrays = arrays_of(model)
    inferred = infer(arrays, FILE)
    c = model.config
    assert inferred.kinds[0] == c.kind
    assert inferred.vocab == c.vocab
    assert inferred.rows == (3 if c.prefix_tokens else 0)
    for key, value in inferred.model.items():
        if key != "expansion":
            assert value == getattr(c, key), key
    told_tokens = c.mixer == "mlp" or c.positions == "learned"
    assert inferred.tokens[0] == (c.tokens if told_tokens else None)
    asked = {
        name.partition(".")[2]: getattr(c, name.partition(".")[2], 0)
        for name in inferred.not_inferred()
        if name.startswith("model.")
    }
    if inferred.kinds[0] == "trm_multi_z":
        assert "n" not in asked
    other = {"mixer": c.mixer} | asked  # everything else in the config is wrong, and corrected
    config, _ = settle(
        inferred, config_of(**{"width": 64, "layers": 9, "kind": c.kind} | other), FILE
    )
    again = get_model(from_dict(config).model_config(CELLS))
    convert.check(arrays, again, 3, FILE)
    for key in ("kind", "width", "layers", "mixer", "positions", "prefix_tokens", "dtype"):
        assert getattr(again.config, key) == getattr(c, key), key


@pytest.mark.parametrize(
    ("kind", "given", "becomes"),
    [
        ("trm", "trm_continue", "trm_continue"),
        ("trm", "trm_one_step", "trm_one_step"),
        ("trm", "hrm", "trm"),
        ("hrm", "trm_two_networks", "trm_two_networks"),
        ("hrm", "trm", "hrm"),
    ],
)
def test_kinds_with_the_same_arrays_are_the_config_s_choice(kind, given, becomes):
    inferred = infer(arrays_of(model_of(kind=kind)), FILE)
    config, notes = settle(inferred, config_of(kind=given), FILE)
    assert config["model"]["kind"] == becomes
    assert any("config.model.kind" in note for note in notes) == (given != becomes)


def test_changes_are_told():
    inferred = infer(arrays_of(model_of(dtype="bfloat16")), FILE)
    _, notes = settle(inferred, config_of(width=512, prefix_tokens=16), FILE)
    assert notes == [
        "config.model.width is 16 in weights.npz (the config says 512)",
        "config.model.dtype is bfloat16 in weights.npz (the config says float32)",
        "config.model.prefix_tokens is 2 in weights.npz (the config says 16)",
    ]


def test_box_of_a_side_with_several():
    inferred = infer(arrays_of(model_of(vocab=8, cells=36)), FILE)
    config = config_of()
    named = r"config\.data\.sudoku\.box is \(2, 2\).*box=\(2, 3\) or box=\(3, 2\)"
    with pytest.raises(UserError, match=named):
        settle(inferred, config, FILE)
    for older in ({"box": (3, 2)}, {"sudoku": {"box": (3, 2)}}):
        found, _ = settle(inferred, config | {"data": {"task": "sudoku"} | older}, FILE)
        assert found["data"]["sudoku"]["box"] == (3, 2)


def without(name):
    return lambda arrays: {k: v for k, v in arrays.items() if k != name}


def put(name, shape, dtype=np.float32, fill=0):
    return lambda arrays: arrays | {name: np.full(shape, fill, dtype)}


@pytest.mark.parametrize(
    ("model", "change", "config", "words"),
    [
        ({}, without("lm_head.weight"), {}, "lacks: lm_head.weight; a trm model"),
        ({}, without("embed_tokens.embedding_weight"), {}, "no embed_tokens.embedding_weight"),
        ({}, without("L_init"), {}, "lacks: L_init"),
        ({}, put(f"{LAYER}.mlp.bias", 3), {}, f"unknown arrays: {LAYER}.mlp.bias"),
        ({}, put("q_head.weight", (2, 15)), {}, "q_head.weight has shape (2, 15);.*(2, 16)"),
        ({}, put("embed_tokens.embedding_weight", 16), {}, "embedding_weight has shape (16,)"),
        ({}, put("q_head.bias", 2, fill=np.nan), {}, "q_head.bias has values that are not"),
        ({}, put("H_init", 16, ml_dtypes.bfloat16, np.inf), {}, "H_init.*type bfloat16, float32"),
        ({}, put("q_head.bias", 2, np.float64), {}, "q_head.bias is of type float64"),
        ({}, put("H_init", 16, np.float16), {}, "H_init, L_init are of type float16, float32"),
        ({}, put(f"{LAYER}.mlp.down_proj.weight", (16, 100)), {}, f"no expansion.*{LAYER}.mlp"),
        ({}, put(f"{LAYER}.mlp_t.down_proj.weight", (16, 256)), {}, "mlp_t.*16 tokens.*16 cells"),
        ({}, without("puzzle_emb.weights"), {}, "18 tokens.*16 cells.*no table (puzzle_emb"),
        ({}, put("puzzle_emb.weights", (3, 33)), {}, "puzzle_emb.weights has rows of width 33"),
        ({"vocab": 7}, dict, {}, "embed_tokens.embedding_weight has 7 rows"),
        (ATTENTION, dict, ATTENTION | {"heads": 3}, "self_attn.qkv_proj.weight.*heads (3)"),
        (ATTENTION, dict, {}, "rotary positions, and the config (mixer 'mlp'"),
        (ATTENTION, dict, ATTENTION | {"prefix_tokens": 0}, "puzzle_emb.weights.*raise"),
        (ATTENTION, without("H_init"), ATTENTION | {"kind": "trm"}, None),
    ],
)
def test_contradictions_name_the_array(tmp_path, model, change, config, words):
    arrays = change(arrays_of(model_of(**model)))
    file = saved(tmp_path / "a.safetensors", arrays)
    if words is None:  # a TRM without its answer state is the model with a single one
        assert convert.plan(file, config_of(**config)).model.config.kind == "trm_single_z"
        return
    pattern = words.replace("(", r"\(").replace(")", r"\)").replace("[", r"\[")
    with pytest.raises(UserError, match=pattern) as error:
        convert.plan(file, config_of(**config))
    assert "a.safetensors" in str(error.value) and "\n" not in str(error.value)
