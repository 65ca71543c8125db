"""The NumPy transcription against the published code's numbers; it is what other tests check by."""

from pathlib import Path

import numpy as np
import pytest

from tests.golden import reference
from trm_jax.transcription import Transcription

GOLDENS = sorted((Path(__file__).parent / "golden" / "data").glob("*.npz"))


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
