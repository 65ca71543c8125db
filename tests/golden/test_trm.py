"""TRM, component by component, against the published code's numbers.

With x64 enabled everything is held to 1e-6 of the array's scale at every step; in float32 step 1
is held to 1e-4 (later steps are chaotic: rounding grows tenfold a step, in PyTorch too).
"""

import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.golden import reference
from trm_jax import act, puzzle_table
from trm_jax.models import get_model
from trm_jax.optim import dense_optimizer
from trm_jax.state import TrainState
from trm_jax.step import METRICS, supervise, update
from trm_jax.types import Carry

OWN = Path(__file__).parent / "data"
KINDS = {"trm_att", "trm_mlp", "trm_learned_pos", "trm_no_ids"}
METRIC_NAMES = {
    "count": "halted/count",
    "accuracy": "halted/cell_accuracy",
    "exact_accuracy": "halted/exact_accuracy",
    "q_halt_accuracy": "halted/halt_accuracy",
    "steps": "halted/steps",
    "lm_loss": "token_loss",
    "q_halt_loss": "halt_loss",
}


def is_trm(path):
    """Golden files of other models are left to their own tests."""
    model = reference.load(path).config["model"]
    return model in KINDS or (model == "trm" or (model.startswith("trm_") and "_z" not in model))


def pytest_generate_tests(metafunc):
    if "golden" in metafunc.fixturenames:
        folder = Path(metafunc.config.getoption("--goldens") or OWN)
        found = [p for p in sorted(folder.glob("*.npz")) if p.stem != "arc_vote"]
        found = [p for p in found if is_trm(p)]
        assert found, f"no golden TRM file in {folder}"
        metafunc.parametrize("path", found, ids=lambda p: p.stem, scope="module")


@pytest.fixture(scope="module")
def golden(path):
    return reference.load(path)


@pytest.fixture(params=["float64", "float32"])
def dtype(request):
    """float64 runs under x64; `jax.nn` itself is not clean under strict promotion there."""
    if request.param == "float32":
        yield request.param
        return
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):
        yield request.param


def close(actual, expected, dtype, what):
    """Largest difference at most 1e-6 (float64) or 1e-4 (float32) of the array's scale."""
    expected = np.asarray(expected)
    actual = np.asarray(actual)
    assert actual.shape == expected.shape, what
    scale = max(np.abs(expected).max(initial=0), 1e-30)
    error = np.abs(actual - expected).max(initial=0) / scale
    bound = {"float64": 1e-6, "float32": 1e-4}[dtype]
    assert error <= bound, f"{what}: off by {error:.1e} of its scale, {bound} allowed"


def trees_close(actual, expected, dtype, what):
    assert jax.tree.structure(actual) == jax.tree.structure(expected), what
    for (path, a), e in zip(
        jax.tree_util.tree_leaves_with_path(actual), jax.tree.leaves(expected), strict=True
    ):
        close(a, e, dtype, what + jax.tree_util.keystr(path))


def check_step(golden, prefix, dtype, loss, carry, output, metrics):
    """One recorded supervision step: what it says, what it costs, what it carries on."""
    out = golden.group(prefix + "out/")
    close(output.logits, out["logits"], dtype, "logits")
    close(output.halt_logits, out["q_halt_logits"], dtype, "halt logits")
    close(output.continue_logits, out["q_continue_logits"], dtype, "continue logits")
    if dtype == "float64":
        np.testing.assert_array_equal(output.logits.argmax(-1), out["preds"].astype(int))
    close(loss, golden.arrays[prefix + "loss"], dtype, "loss")
    for theirs, ours in METRIC_NAMES.items():
        close(metrics[ours], golden.arrays[f"{prefix}metrics/{theirs}"], dtype, ours)
    kept = golden.group(prefix + "carry/")
    for latent, theirs in zip(carry.latents, ("z_H", "z_L"), strict=True):
        close(latent, kept[theirs], dtype, theirs)
    np.testing.assert_array_equal(carry.steps, kept["steps"])
    np.testing.assert_array_equal(carry.halted, kept["halted"])
    np.testing.assert_array_equal(carry.batch.inputs, kept["data/inputs"])
    np.testing.assert_array_equal(carry.batch.labels, kept["data/labels"])
    np.testing.assert_array_equal(carry.batch.ids, kept["data/puzzle_identifiers"])


def start(golden, dtype):
    config = reference.model_config(golden, dtype)
    weights = reference.weights(golden, "param/", dtype)
    batch_size = golden.arrays["batch0/inputs"].shape[0]
    return config, weights, act.empty_carry(config, weights.initial, batch_size)


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_carry_over_supervision_steps(golden, mode, dtype):
    config, weights, carry = start(golden, dtype)
    model = get_model(config)

    def halt(steps, halt_logits):
        if mode == "eval":
            return act.eval_halt(config, steps)
        return act.train_halt(config, steps, halt_logits, jax.random.key(0))

    @jax.jit
    def step(carry: Carry, batch):
        carry = act.refill(carry, batch, weights.initial)
        rows = puzzle_table.lookup(weights.table, carry.batch.ids)
        return supervise(weights.params, rows, carry, model, halt)

    steps = golden.steps(mode) if dtype == "float64" else 1
    assert steps
    for i in range(steps):
        offered = reference.batch(golden, i if mode == "train" else 0)
        loss, (carry, output, metrics) = step(carry, offered)
        check_step(golden, f"{mode}{i}/", dtype, loss, carry, output, metrics)


def test_gradients(golden, dtype):
    config, weights, carry = start(golden, dtype)
    model = get_model(config)
    carry = act.refill(carry, reference.batch(golden, 0), weights.initial)
    rows = puzzle_table.lookup(weights.table, carry.batch.ids)

    @functools.partial(jax.grad, argnums=(0, 1))
    def gradient(params, rows):
        halt = functools.partial(act.train_halt, config, key=jax.random.key(0))
        loss, _ = supervise(params, rows, carry, model, halt)
        return loss / carry.halted.shape[0]

    grads, row_grads = jax.jit(gradient)(weights.params, rows)
    expected = reference.params_from_torch(golden.group("train0/grad/"), dtype)
    trees_close(grads, expected, dtype, "gradient of ")
    if config.prefix_tokens:
        close(row_grads, golden.arrays["train0/grad_rows"], dtype, "gradient of the rows")


def test_four_updates(golden, dtype):
    with jax.numpy_dtype_promotion("standard"):  # optax's own AdamW is not clean under strict
        check_four_updates(golden, dtype)


def check_four_updates(golden, dtype):
    config, weights, carry = start(golden, dtype)
    dense, table = reference.optimizer_configs(golden)
    optimizer = dense_optimizer(dense, 4)
    state = TrainState(
        step=jnp.zeros((), jnp.int32),
        weights=weights,
        opt_state=optimizer.init(weights.params),
        ema={"params": weights.params},
        carry=carry,
        key=jax.random.key(0),
        sums={name: jnp.zeros((), jnp.float32) for name in METRICS},
    )
    one = functools.partial(
        update,
        model=get_model(config),
        optimizer=optimizer,
        optimizer_config=dense,
        table_config=table,
        total_steps=4,
        log_every=1,
    )
    one = jax.jit(one)
    updates = golden.optimizer["steps"] if dtype == "float64" else 1
    for i in range(updates):
        state = one(state, reference.batch(golden, i))
        loss = state.sums["token_loss"] + 0.5 * state.sums["halt_loss"]
        # The sums are logged in float32, whatever the rest is computed in.
        close(loss, golden.arrays[f"opt{i}/loss"], dtype, f"loss of update {i}")
    if dtype == "float32":
        return
    expected = reference.weights(golden, "opt_final/param/", dtype)
    trees_close(state.weights, expected, dtype, "updated ")
    ema = reference.params_from_torch(golden.group("opt_final/ema/"), dtype)
    trees_close(state.ema["params"], ema, dtype, "average of ")
