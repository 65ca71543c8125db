"""Each part of our models against the NumPy transcription, on the published code's weights.

The other golden tests hold whole supervision steps to the recorded numbers; should one of them
fail, these say in which part the fault lies. All in float64, to 1e-6 of the scale.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.golden import reference
from tests.published.test_transcription import assert_close, question, transcription
from trm_jax.models.parts import Parts
from trm_jax.models.recursion import Depth
from trm_jax.published.torch_names import LEVELS


def pytest_generate_tests(metafunc):
    files = reference.files(metafunc.config.getoption("--goldens"))
    metafunc.parametrize("both", files, ids=[path.stem for path in files], indirect=True)


class Both:
    """One golden file, as our model and as the transcription."""

    def __init__(self, path):
        self.golden = reference.load(path)
        self.model = reference.model(self.golden, "float64")
        self.weights = reference.weights(self.golden, "param/", "float64")
        self.theirs = transcription(self.golden)
        self.names = tuple(dict.fromkeys(self.model.variant.networks))
        self.parts = Parts(self.model.config, self.names)

    def ours(self, *arguments, method):
        return self.parts.apply({"params": self.weights.params}, *arguments, method=method)

    def level(self, name):
        return LEVELS.get(name, self.theirs.z_level)

    def swap(self, h):
        return self.model.mixer.swap(h)

    def states(self, count):
        """Random ones, each [2, L, D]."""
        c = self.model.config
        rng = np.random.default_rng(0)
        return tuple(rng.normal(size=(2, c.tokens, c.width)) for _ in range(count))


@pytest.fixture
def both(request):
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):
        yield Both(request.param)


def test_embedding(both):
    inputs, ids = question(both.golden)
    rows = both.weights.table[ids] if both.model.config.prefix_tokens else jnp.zeros((len(ids), 0))
    x = both.ours(jnp.asarray(inputs), rows, method="embed")
    assert_close(np.asarray(x), both.theirs.embed(inputs, ids), "x")


def test_each_block(both):
    (h,) = both.states(1)
    for name in both.names:
        for block, params in both.weights.params[name].items():
            ours = both.model.mixer.block(both.model.config)
            ours = ours.apply({"params": params}, both.swap(jnp.asarray(h)))
            theirs = both.theirs.block(both.level(name), int(block.removeprefix("block_")), h)
            assert_close(np.asarray(both.swap(ours)), theirs, f"{name} {block}")


def test_network(both):
    (h,) = both.states(1)
    for name in both.names:
        ours = both.swap(both.ours(both.swap(jnp.asarray(h)), name, method="think"))
        assert_close(np.asarray(ours), both.theirs.network(both.level(name), h), name)


def test_one_recursion(both):
    model = both.model
    x, *states = both.states(1 + len(model.state_names))
    networks = model._networks(both.weights.params)
    swapped = tuple(both.swap(jnp.asarray(state)) for state in states)
    recursion = model.variant.recursion
    ours = recursion(networks, swapped, both.swap(jnp.asarray(x)), Depth(1, model.config.n, False))
    theirs = both.theirs.recursion(tuple(states), x)
    for name, one, other in zip(model.state_names, ours, theirs, strict=True):
        assert_close(np.asarray(both.swap(one)), other, name)


def test_heads(both):
    states = both.states(len(both.model.state_names))
    inputs, ids = (array[:2] for array in question(both.golden))
    after, logits, halting = both.theirs.supervision_step(states, inputs, ids)
    said = both.ours(jnp.asarray(after[0]), method="read")
    assert_close(np.asarray(said.logits), logits, "logits")
    # the halting head's logits are kept in float32, the carry's type
    assert_close(np.asarray(said.halt_logits), halting[:, 0], "halt")
    assert_close(np.asarray(said.continue_logits), halting[:, 1], "continue")
