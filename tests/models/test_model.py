"""The parts of a model, on TRM: inputs, heads, where the gradient goes, what is refused."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.runs import TINY_MODEL
from trm_jax.core.errors import UserError
from trm_jax.models import get_model
from trm_jax.models.embedding import Embedding

SETTINGS = {
    "mlp": {},
    "mlp learned, unrolled": {"positions": "learned", "unroll": True},
    "attention": {"mixer": "attention"},
    "attention learned, no table": {
        "mixer": "attention",
        "positions": "learned",
        "prefix_tokens": 0,
    },
    "attention rotary, two blocks": {"mixer": "attention", "positions": "rotary", "layers": 2},
    "bfloat16": {"dtype": "bfloat16"},
    "digits": {"mixer": "digits", "prefix_tokens": 0},
    "digits, bfloat16": {"mixer": "digits", "prefix_tokens": 0, "dtype": "bfloat16"},
}


def variant(**changes):
    return dataclasses.replace(TINY_MODEL, **changes)


@functools.cache
def some_params(config):
    """Random everywhere: the halting head starts at zero, which would hide what it reads."""
    shapes = jax.eval_shape(get_model(config).init, jax.random.key(0))
    draw = np.random.default_rng(0)
    return jax.tree.map(
        lambda s: (draw.normal(size=s.shape) * s.shape[0] ** -0.5).astype(s.dtype), shapes
    )


def some_inputs(config, batch=3):
    draw = np.random.default_rng(1)
    shape = (batch, config.tokens, config.width)
    latents = tuple(jnp.asarray(draw.normal(size=shape), config.dtype) for _ in "yz")
    rows = draw.normal(size=(batch, config.table_width)).astype(np.float32)
    inputs = draw.integers(1, config.vocab, (batch, config.cells)).astype(np.int32)
    return latents, inputs, rows


@functools.partial(jax.jit, static_argnums=0)
def step(config, params, latents, inputs, rows):
    return get_model(config).supervision_step(params, latents, inputs, rows)


@functools.partial(jax.jit, static_argnums=0)
def embed(config, params, inputs, rows):
    return Embedding(config).apply({"params": params}, inputs, rows)


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_runs(name):
    config = variant(**SETTINGS[name])
    latents, inputs, rows = some_inputs(config)
    new, output = step(config, some_params(config), latents, inputs, rows)
    assert [a.shape for a in new] == [(3, config.tokens, 16)] * 2
    assert output.logits.shape == (3, 16, 6)
    assert output.halt_logits.shape == output.continue_logits.shape == (3,)
    assert {a.dtype for a in (*new, output.logits)} == {jnp.dtype(config.dtype)}
    assert output.halt_logits.dtype == output.continue_logits.dtype == jnp.float32
    assert all(
        np.isfinite(leaf.astype(np.float32)).all() for leaf in jax.tree.leaves((new, output))
    )


@pytest.fixture(scope="module")
def gradients():
    """Gradients by (params, latents, rows), and temporary bytes, of the three kinds of remat."""
    found = {}
    for remat in ("none", "block", "net"):
        config = variant(remat=remat, positions="learned")
        latents, inputs, rows = some_inputs(config, batch=32)

        def total(params, latents, rows, config=config, inputs=inputs):
            _, output = step(config, params, latents, inputs, rows)
            return jnp.sum(output.logits**2) + jnp.sum(jnp.sin(output.halt_logits))

        arguments = some_params(config), latents, rows
        compiled = jax.jit(jax.grad(total, (0, 1, 2))).lower(*arguments).compile()
        found[remat] = compiled(*arguments), compiled.memory_analysis().temp_size_in_bytes
    return found


def test_all_parameters_matter_but_the_continue_head_only_to_its_logit(gradients):
    by_params = dict(gradients["none"][0][0])
    halt = by_params.pop("halt_head")
    assert not halt["kernel"][:, 1].any() and not halt["bias"][1]
    assert halt["kernel"][:, 0].all() and halt["bias"][0]
    for leaf in jax.tree.leaves(by_params):
        assert np.isfinite(leaf).all() and leaf.any()


def test_the_states_that_come_in_get_no_gradient_but_the_puzzle_row_does(gradients):
    _, by_latents, by_rows = gradients["none"][0]
    assert not any(leaf.any() for leaf in by_latents)
    assert (np.abs(by_rows).max(axis=1) > 0).all()


@pytest.mark.parametrize("remat", ["block", "net"])
def test_rematerialisation_changes_memory_and_nothing_else(gradients, remat):
    """Of the looping form: unrolled, the CPU compiler merges what was to be computed again."""
    plain, plain_bytes = gradients["none"]
    gradient, temporary_bytes = gradients[remat]
    assert jax.tree.structure(gradient) == jax.tree.structure(plain)
    for a, b in zip(jax.tree.leaves(gradient), jax.tree.leaves(plain), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5 * np.abs(b).max())
    assert temporary_bytes < plain_bytes / 2


@pytest.mark.parametrize("row_width", [5, 16, 20, 32])
@pytest.mark.parametrize("positions", ["none", "learned"])
def test_embedding_by_hand(row_width, positions):
    """E below D, E = D, E between D and P D, E = P D: zero-padded, then cut into P tokens."""
    config = variant(row_width=row_width, positions=positions)
    _, inputs, rows = some_inputs(config)
    params = some_params(config)["embedding"]
    assert set(params) == ({"tokens"} | ({"positions"} if positions == "learned" else set()))
    expected = np.zeros((3, 2 + 16, 16))
    for i in range(3):
        for j in range(row_width):
            expected[i, j // 16, j % 16] = rows[i, j]
        expected[i, 2:] = params["tokens"][inputs[i]]
    if positions == "learned":
        expected = (expected + params["positions"]) / np.sqrt(2)
    got = embed(config, params, inputs, rows)
    np.testing.assert_allclose(got, 4 * expected, rtol=1e-6, atol=1e-6)


def test_embedding_without_table_is_the_tokens_alone():
    config = variant(prefix_tokens=0)
    _, inputs, rows = some_inputs(config)
    assert rows.shape == (3, 0)
    params = some_params(config)["embedding"]
    got = embed(config, params, inputs, rows)
    np.testing.assert_allclose(got, 4 * params["tokens"][inputs], rtol=1e-6)


def test_heads_read_the_answer_state():
    config = TINY_MODEL
    params = some_params(config)
    (y, z), output = step(config, params, *some_inputs(config))
    logits = y[:, 2:] @ params["answer_head"]["kernel"]
    np.testing.assert_allclose(output.logits, logits, atol=1e-5)
    halting = y[:, 0] @ params["halt_head"]["kernel"] + params["halt_head"]["bias"][None]
    np.testing.assert_allclose(output.halt_logits, halting[:, 0], atol=1e-5)
    np.testing.assert_allclose(output.continue_logits, halting[:, 1], atol=1e-5)
    assert np.abs(y - z).max() > 0.1


@pytest.fixture(scope="module")
def fresh():
    """A config of two blocks, and parameters as training starts from."""
    config = variant(**SETTINGS["attention rotary, two blocks"])
    return config, jax.jit(get_model(config).init)(jax.random.key(0))


def test_a_fresh_model_surely_does_not_halt(fresh):
    config, params = fresh
    _, output = step(config, params, *some_inputs(config))
    np.testing.assert_array_equal(output.halt_logits, [-5, -5, -5])
    np.testing.assert_array_equal(output.continue_logits, [-5, -5, -5])
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype("float32")}


def test_weights_start_different_and_of_lecun_size(fresh):
    params = dict(fresh[1])
    assert not params.pop("halt_head")["kernel"].any()
    first, second = (
        params["network"][block]["mlp"]["down"]["kernel"] for block in ("block_0", "block_1")
    )
    assert (first != second).mean() > 0.99
    deviation = params.pop("embedding")["tokens"].std() * 16**0.5
    assert abs(deviation - 1) < 0.25  # 96 numbers; by D, not by V
    for leaf in jax.tree.leaves(params):
        assert abs(leaf.std() * leaf.shape[0] ** 0.5 - 1) < 4 * leaf.size**-0.5


def test_initial_vectors_are_no_parameters():
    model = get_model(TINY_MODEL)
    y, z = model.initial_latents(jax.random.key(0))
    assert y.shape == z.shape == (16,) and y.dtype == z.dtype == jnp.float32
    assert (y != z).all()
    np.testing.assert_array_equal(y, model.initial_latents(jax.random.key(0))[0])
    params = jax.eval_shape(model.init, jax.random.key(0))
    assert sorted(params) == ["answer_head", "embedding", "halt_head", "network"]
    wide = get_model(variant(width=4096)).initial_latents(jax.random.key(1))
    assert all(abs(float(vector.std()) - 1) < 0.05 for vector in wide)


def test_each_example_is_answered_by_itself():
    latents, inputs, rows = some_inputs(TINY_MODEL)
    params = some_params(TINY_MODEL)
    changed = inputs.copy()
    changed[0] = 6 - changed[0]
    other_rows = rows.copy()
    other_rows[1] += 1
    before = step(TINY_MODEL, params, latents, inputs, rows)[1].logits
    after = step(TINY_MODEL, params, latents, changed, other_rows)[1].logits
    moved = np.abs(after - before).max(axis=(1, 2))
    assert moved[0] > 1e-3 and moved[1] > 1e-3
    np.testing.assert_array_equal(after[2], before[2])


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"mixer": "conv"}, "mixer"),
        ({"positions": "sine"}, "positions"),
        ({"dtype": "float16"}, "dtype"),
        ({"remat": "all"}, "remat"),
        *[({key: 0}, key) for key in ("vocab", "cells", "width", "heads", "layers", "T", "n", "N")],
        ({"n": -1}, "n is -1"),
        ({"vocab": 257}, "vocab"),  # answers are kept in a byte
        ({"kind": "trmm"}, "kind"),
        ({"dtype": "float64"}, "dtype.*JAX_ENABLE_X64"),
        ({"mixer": "attention", "heads": 3}, "heads"),
        ({"mixer": "attention", "heads": 16}, "heads"),  # heads of odd width cannot turn
        ({"mixer": "mlp", "positions": "rotary"}, "positions"),
        ({"y_layers": -1}, "y_layers"),
        ({"prefix_tokens": -1}, "prefix_tokens"),
        ({"row_width": -1}, "row_width"),
        ({"row_width": 33}, "prefix_tokens"),  # P D is 32
        ({"halt_exploration": 1.5}, "halt_exploration"),
        ({"halt_exploration": -0.1}, "halt_exploration"),
    ],
)
def test_bad_settings_are_refused_by_name(changes, word):
    with pytest.raises(UserError, match=word):
        get_model(variant(**changes))


def test_widths_that_follow_from_others():
    assert TINY_MODEL.tokens == 18
    assert (TINY_MODEL.table_width, variant(row_width=5).table_width) == (16, 5)
    assert variant(prefix_tokens=0, row_width=5).table_width == 0
    assert variant(row_width=32).table_width == 32
