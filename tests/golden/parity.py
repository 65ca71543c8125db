"""Each component of a model against the published code's numbers, one function each.

Compare twice: in float64, where everything is held to 1e-6 of the array's scale at every recorded
step, and in float32, where the first step is held to 1e-4 (later ones are chaotic: rounding grows
tenfold a step, in PyTorch too).
"""

import contextlib
import functools
from collections import defaultdict

import jax
import jax.numpy as jnp
import numpy as np

from tests.golden import reference
from trm_jax.core.mesh import make_mesh
from trm_jax.models import act, puzzle_table
from trm_jax.published.torch_names import state_name
from trm_jax.train.gradient import continue_target, supervise
from trm_jax.train.optim import dense_optimizer
from trm_jax.train.state import TrainState
from trm_jax.train.step import metric_names, update

BOUNDS = {"float64": 1e-6, "float32": 1e-4}
METRICS = {
    "count": "halted/count",
    "accuracy": "halted/cell_accuracy",
    "exact_accuracy": "halted/exact_accuracy",
    "q_halt_accuracy": "halted/halt_accuracy",
    "steps": "halted/steps",
    "lm_loss": "token_loss",
    "q_halt_loss": "halt_loss",
    "q_continue_loss": "continue_loss",
}


@contextlib.contextmanager
def precision(dtype):
    """To compute in; float64 is compiled without optimisations, in little more than half the time.

    optax and jax.nn are not clean under strict promotion.
    """
    wide = dtype == "float64"
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", wide)
    try:
        with jax.enable_x64(wide), jax.numpy_dtype_promotion("standard"):
            yield
    finally:
        jax.config.update("jax_disable_most_optimizations", before)


class Parity:
    """What our code makes of a golden file; each part is computed when it is first asked for."""

    def __init__(self, golden, dtype):
        self.golden, self.dtype = golden, dtype
        self.reached = defaultdict(float)  # largest error as a share of the scale, by component
        self.model = reference.model(golden, dtype)
        self.weights = reference.weights(golden, "param/", dtype)
        self.mesh = make_mesh(1)
        self.slots = golden.arrays["batch0/inputs"].shape[0]
        self.empty = act.empty_carry(self.model.config, self.weights.initial, self.slots)

    def recorded(self, steps):
        """In float32 only the first of the recorded steps can be compared."""
        return steps if self.dtype == "float64" else 1

    def supervise(self, params, rows, carry, batch, mode):
        """Refill, one supervision step, and the target of the continue logits where it has one."""
        carry = act.refill(carry, batch, self.weights.initial)
        if rows is None:
            rows = puzzle_table.lookup(self.weights.table, carry.batch.ids, self.mesh)
        drawn = act.explore(self.model.config, self.slots, jax.random.key(0))
        drawn = drawn if mode == "train" else None
        loss, (carry, output, metrics) = supervise(params, rows, carry, self.model, drawn)
        target = None
        if self.model.learns_to_continue and mode == "train":
            target = continue_target(params, rows, carry, self.model)
        return loss, (carry, output, metrics, target)

    @functools.cached_property
    def evaluation(self):
        """[(loss, (carry, output, metrics, None))], step by step, batch 0 offered at each."""
        step = jax.jit(functools.partial(self.supervise, mode="eval"))
        return self._walk(lambda carry, i: step(self.weights.params, None, carry, self.batch(0)))

    @functools.cached_property
    def _training(self):
        def loss(params, rows, carry, batch):
            total, aux = self.supervise(params, rows, carry, batch, "train")
            return total / self.slots, (total, aux)

        step = jax.jit(jax.grad(loss, (0, 1), has_aux=True))
        gradients = []

        def one(carry, i):
            batch = self.batch(i)
            ids = jnp.where(carry.halted, batch.ids, carry.batch.ids)
            rows = puzzle_table.lookup(self.weights.table, ids, self.mesh)
            gradient, result = step(self.weights.params, rows, carry, batch)
            gradients.append(gradient)
            return result

        return self._walk(one), gradients

    @property
    def training(self):
        """The same with batch I offered at step I, and with halts."""
        return self._training[0]

    @property
    def gradients(self):
        """(by parameters, by each slot's table row) of loss / slots at the first training step."""
        return self._training[1][0]

    def _walk(self, step):
        carry, results = self.empty, []
        for i in range(self.recorded(self.golden.steps("train"))):
            results.append(step(carry, i))
            carry = results[-1][1][0]
        return results

    def batch(self, number):
        """A recorded batch."""
        return reference.batch(self.golden, number)

    @functools.cached_property
    def updates(self):
        """(losses, final state) of the recorded optimizer updates, one supervision step each."""
        dense, table = reference.optimizer_configs(self.golden)
        count = self.golden.optimizer["steps"]
        optimizer = dense_optimizer(dense, count)
        names = metric_names(self.model)
        state = TrainState(
            step=jnp.zeros((), jnp.int32),
            weights=self.weights,
            opt_state=optimizer.init(self.weights.params),
            ema={"params": self.weights.params},
            carry=self.empty,
            key=jax.random.key(0),
            sums={name: jnp.zeros((), jnp.float32) for name in names},
        )
        one = jax.jit(
            functools.partial(
                update,
                model=self.model,
                optimizer=optimizer,
                optimizer_config=dense,
                table_config=table,
                total_steps=count,
                log_every=1,
                mesh=self.mesh,
            )
        )
        losses = []
        for i in range(count):
            state = one(state, self.batch(i))
            halting = state.sums["halt_loss"] + state.sums.get("continue_loss", 0)
            losses.append(state.sums["token_loss"] + 0.5 * halting)
        return losses, state

    def steps(self):
        """(prefix in the file, loss, carry, output, metrics, target) of every recorded step."""
        for mode, results in (("eval", "evaluation"), ("train", "training")):
            for i, (loss, rest) in enumerate(getattr(self, results)):
                yield f"{mode}{i}/", loss, *rest

    def close(self, component, actual, expected, what):
        """Equal up to the bound's share of the expected array's largest entry."""
        expected, actual = np.asarray(expected), np.asarray(actual)
        assert actual.shape == expected.shape, f"{what}: {actual.shape}, not {expected.shape}"
        assert np.isfinite(actual).all(), f"{what} is not finite"
        scale = max(np.abs(expected).max(initial=0), 1e-30)
        error = float(np.abs(actual - expected).max(initial=0) / scale)
        self.reached[component] = max(self.reached[component], error)
        bound = BOUNDS[self.dtype]
        assert error <= bound, f"{what}: off by {error:.1e} of its scale, {bound} allowed"

    def trees_close(self, component, actual, expected, what):
        """`close` for every array of two trees of the same structure."""
        assert jax.tree.structure(actual) == jax.tree.structure(expected), what
        for (path, a), e in zip(
            jax.tree_util.tree_leaves_with_path(actual), jax.tree.leaves(expected), strict=True
        ):
            self.close(component, a, e, what + jax.tree_util.keystr(path))


def answers(p):
    """The logits of every cell and the tokens they choose."""
    for at, _, _, output, _, _ in p.steps():
        out = p.golden.group(at + "out/")
        p.close("answer logits", output.logits, out["logits"], at + "logits")
        if p.dtype == "float64":
            chosen = np.asarray(output.logits).argmax(-1)
            np.testing.assert_array_equal(chosen, out["preds"].astype(int), at + "preds")


def halting_logits(p):
    """What the heads say of stopping and going on."""
    for at, _, _, output, _, _ in p.steps():
        out = p.golden.group(at + "out/")
        for name, logits in (("halt", output.halt_logits), ("continue", output.continue_logits)):
            p.close("halting logits", logits, out[f"q_{name}_logits"], f"{at}{name} logits")


def continue_targets(p):
    """HRM's value of the next step."""
    recorded = 0
    for at, _, _, _, _, target in p.steps():
        expected = p.golden.arrays.get(at + "out/target_q_continue")
        assert (target is None) == (expected is None), at
        if expected is not None:
            recorded += 1
            p.close("continue target", target, expected, at + "target")
    assert recorded


def losses(p):
    """Token, halting and continue loss, summed over the batch."""
    for at, loss, *_ in p.steps():
        p.close("loss", loss, p.golden.arrays[at + "loss"], at + "loss")


def metrics(p):
    """Every recorded metric."""
    for at, _, _, _, ours, _ in p.steps():
        recorded = p.golden.group(at + "metrics/")
        assert recorded
        for name, value in recorded.items():
            p.close("metrics", ours[METRICS[name]], value, at + name)


def carries(p):
    """The states, the step counts, who halts, and the examples: who was refilled with what."""
    for at, _, carry, *_ in p.steps():
        kept = p.golden.group(at + "carry/")
        names = [f"z_{state_name(name)}" for name in p.model.state_names]
        assert sorted(names) == sorted(k for k in kept if k.startswith("z_"))
        for name, latent in zip(names, carry.latents, strict=True):
            p.close("states", latent, kept[name], at + name)
        batch = carry.batch
        for name, ours in (
            ("steps", carry.steps),
            ("halted", carry.halted),
            ("data/inputs", batch.inputs),
            ("data/labels", batch.labels),
            ("data/puzzle_identifiers", batch.ids),
        ):
            np.testing.assert_array_equal(ours, kept[name], at + name)


def gradients(p):
    """The gradient of every parameter at the first step."""
    expected = reference.params(p.model, p.golden.group("train0/grad/"), p.dtype)
    p.trees_close("gradients", p.gradients[0], expected, "gradient of ")


def row_gradients(p):
    """The gradient of each slot's table row, before equal ids are summed."""
    p.close("row gradients", p.gradients[1], p.golden.arrays["train0/grad_rows"], "row gradients")


def update_losses(p):
    """The loss of each update, so each sees the one before; logged in float32 whatever else is."""
    for i, loss in enumerate(p.updates[0]):
        p.close("losses of updates", loss, p.golden.arrays[f"opt{i}/loss"], f"loss of update {i}")


def optimizer(p):
    """Parameters after all updates, and the vectors that no update may touch."""
    name = {"atan2": "AdamATan2", "adamw": "AdamW"}[p.golden.optimizer["name"]]
    expected, got = reference.weights(p.golden, "opt_final/param/", p.dtype), p.updates[1].weights
    p.trees_close(name, got.params, expected.params, "updated ")
    for ours, theirs in zip(got.initial, expected.initial, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def sign_sgd(p):
    """The puzzle table after all updates."""
    expected = reference.weights(p.golden, "opt_final/param/", p.dtype)
    p.close("sparse sign-SGD", p.updates[1].weights.table, expected.table, "table")


def averages(p):
    """The moving average after all updates."""
    expected = reference.params(p.model, p.golden.group("opt_final/ema/"), p.dtype)
    p.trees_close("EMA", p.updates[1].ema["params"], expected, "average of ")


COMPONENTS = (
    answers,
    halting_logits,
    continue_targets,
    losses,
    metrics,
    carries,
    gradients,
    row_gradients,
    update_losses,
    optimizer,
    sign_sgd,
    averages,
)
UPDATES = {update_losses, optimizer, sign_sgd, averages}
"""Recorded over several updates, and so compared in float64 only."""


def components(golden, dtype):
    """Those that a golden file has numbers for."""
    has_table = bool(golden.config["puzzle_emb_ndim"])
    bootstraps = any(k.endswith("target_q_continue") for k in golden.arrays)
    left_out = set(UPDATES if dtype == "float32" else ())
    left_out |= set() if has_table else {row_gradients, sign_sgd}
    left_out |= set() if bootstraps else {continue_targets}
    return [component for component in COMPONENTS if component not in left_out]
