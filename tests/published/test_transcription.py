"""The NumPy transcription against the published code's numbers; it is what other tests check by."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.golden import parity, reference
from tests.runs import TINY_MODEL
from trm_jax.models import get_model
from trm_jax.models.weights import init_weights
from trm_jax.published import torch_names
from trm_jax.published.transcription import Transcription

GOLDENS = reference.files()


def transcription(golden, dtype=np.float64):
    """Of a golden file; its settings under the published names."""
    c = golden.config
    states = golden.group("eval0/carry/z_")
    tokens = next(iter(states.values())).shape[1]
    return Transcription(
        golden.group("param/model.inner."),
        heads=c["num_heads"],
        T=c["H_cycles"],
        n=c["L_cycles"],
        prefix_tokens=tokens - c["seq_len"],
        rotary=c["pos_encodings"] == "rope",
        dtype=dtype,
    )


def assert_close(actual, expected, what, bound=1e-6):
    assert actual.shape == expected.shape, what
    error = np.abs(actual - expected).max() / np.abs(expected).max()
    assert error <= bound, f"{what} is off by {error:.1e} of its scale"


def question(golden):
    return golden.arrays["batch0/inputs"], golden.arrays["batch0/puzzle_identifiers"]


@pytest.mark.parametrize("path", GOLDENS, ids=lambda path: path.stem)
def test_every_evaluation_step_of_every_model(path):
    golden = reference.load(path)
    model = transcription(golden)
    inputs, ids = question(golden)
    halted = np.ones(len(inputs), bool)
    for i in range(golden.steps("eval")):
        at = f"eval{i}/"
        if halted.all():
            states = model.start(len(inputs), model.prefix_tokens + inputs.shape[1])
        assert halted.all() or not halted.any()  # here no slot is refilled alone
        states, logits, halting = model.supervision_step(states, inputs, ids)
        out = golden.group(at + "out/")
        assert_close(logits, out["logits"], at + "logits")
        assert_close(halting[:, 0], out["q_halt_logits"], at + "halt")
        assert_close(halting[:, 1], out["q_continue_logits"], at + "continue")
        np.testing.assert_array_equal(logits.argmax(-1), out["preds"])
        for name, state in zip(model.state_names, states, strict=True):
            assert_close(state, golden.arrays[f"{at}carry/z_{name}"], at + name)
        halted = golden.arrays[at + "carry/halted"]
    assert i >= 3  # beyond one refill


def test_a_rollout_is_its_steps():
    golden = reference.load(GOLDENS[0])
    model = transcription(golden)
    inputs, ids = question(golden)
    logits, halting = model.rollout(inputs, ids, 2)
    states = model.start(len(inputs), model.prefix_tokens + inputs.shape[1])
    for i in range(2):
        states, *said = model.supervision_step(states, inputs, ids)
        np.testing.assert_array_equal(logits[i], said[0])
        np.testing.assert_array_equal(halting[i], said[1])


@pytest.mark.parametrize("path", GOLDENS, ids=lambda path: path.stem)
def test_float32_stays_float32_and_close(path):
    golden = reference.load(path)
    model = transcription(golden, np.float32)
    logits, halting = model.rollout(*question(golden), 1)
    assert logits.dtype == halting.dtype == np.float32
    assert_close(logits[0], golden.arrays["eval0/out/logits"], "logits", 1e-4)


LEARNED = {"mixer": "attention", "positions": "learned"}
UNUSUAL = [
    {"kind": "trm", "width": 48, "heads": 2, "layers": 3, "row_width": 72} | LEARNED,
    {"kind": "trm_continue", "mixer": "attention", "positions": "none", "expansion": 6.5},
    {"kind": "trm_one_step", "T": 3, "n": 1, "positions": "learned"},
    {"kind": "trm_two_networks", "layers": 1, "y_layers": 2, "prefix_tokens": 0},
    {"kind": "trm_single_z", "n": 3, "row_width": 7},
    {"kind": "trm_multi_z", "n": 4, "T": 1, "prefix_tokens": 0} | LEARNED,
    {"kind": "hrm", "layers": 2, "y_layers": 1, "prefix_tokens": 3, "unroll": True},
    {"kind": "transformer", "mixer": "attention", "positions": "rotary", "heads": 1},
]


@pytest.mark.parametrize("changes", UNUSUAL, ids=lambda changes: changes["kind"])
def test_models_in_settings_that_no_golden_file_has(changes):
    with parity.precision("float64"):
        config = dataclasses.replace(TINY_MODEL, dtype="float64", **changes)
        model = get_model(config)
        rng = np.random.default_rng(0)
        weights = jax.tree.map(
            lambda a: jnp.asarray(rng.normal(size=a.shape) * a.shape[0] ** -0.5),
            jax.eval_shape(lambda: init_weights(jax.random.key(0), model, 4)),
        )
        shape = (3, config.tokens, config.width)
        states = [rng.normal(size=shape) for _ in model.state_names]
        inputs, ids = rng.integers(1, config.vocab, (3, config.cells)), np.asarray([0, 3, 3])
        rows = weights.table[ids] if config.prefix_tokens else jnp.zeros((3, 0))
        step = jax.jit(model.supervision_step)
        got, output = step(weights.params, tuple(map(jnp.asarray, states)), inputs, rows)
        theirs = Transcription(
            jax.tree.map(np.asarray, torch_names.to_torch(model, weights)),
            heads=config.heads,
            T=config.T,
            n=config.n,
            prefix_tokens=config.prefix_tokens,
            rotary=config.positions == "rotary",
        )
        assert theirs.state_names == [torch_names.state_name(s) for s in model.state_names]
        expected, logits, halting = theirs.supervision_step(tuple(states), inputs, ids)
        assert_close(np.asarray(output.logits), logits, "logits", 1e-12)
        assert_close(np.asarray(output.halt_logits), halting[:, 0], "halt")
        for ours, other in zip(got, expected, strict=True):
            assert_close(np.asarray(ours), other, "state", 1e-12)
