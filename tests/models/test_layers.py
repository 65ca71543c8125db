"""Layers against the same written out in NumPy, float64."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from trm_jax.models.attend import plain
from trm_jax.models.layers import inner_width
from trm_jax.models.mixers import MIXERS
from trm_jax.models.parts import Network
from trm_jax.models.rotary import rotary_tables, rotate
from trm_jax.models.settings import ModelConfig

MLP = ModelConfig(
    vocab=6, cells=9, width=16, heads=2, prefix_tokens=1, mixer="mlp", dtype="float32"
)
ATTENTION = dataclasses.replace(MLP, mixer="attention", positions="rotary")
PLAIN_ATTENTION = dataclasses.replace(MLP, mixer="attention", positions="none")
CONFIGS = {
    "mlp": MLP,
    "rotary": ATTENTION,
    "attention": PLAIN_ATTENTION,
    "mlp norm": dataclasses.replace(MLP, gate="norm"),
    "rotary norm": dataclasses.replace(ATTENTION, gate="norm"),
}


def states(config, batch=2, seed=0):
    draw = np.random.default_rng(seed)
    return draw.normal(size=(batch, config.tokens, config.width)).astype(np.float32)


@functools.cache
def draw_params(module):
    """NumPy parameters of LeCun size; only the shapes are the module's."""
    shape = (1, module.config.tokens, module.config.width)
    h = MIXERS.get(module.config.mixer).swap(jnp.zeros(shape, module.config.dtype))
    shapes = jax.eval_shape(module.init, jax.random.key(0), h)["params"]
    draw = np.random.default_rng(0)
    return jax.tree.map(
        lambda s: (draw.normal(size=s.shape) * s.shape[0] ** -0.5).astype(s.dtype), shapes
    )


@functools.partial(jax.jit, static_argnums=0)
def apply(module, params, h):
    """Batch-major in, batch-major out, whatever layout the module works in."""
    swap = MIXERS.get(module.config.mixer).swap
    return swap(module.apply({"params": params}, swap(jnp.asarray(h))))


def block(config):
    return MIXERS.get(config.mixer).block(config)


def block_params(config):
    return draw_params(block(config))


def apply_block(config, params, h):
    return np.asarray(apply(block(config), params, h))


def numpy_rms(x):
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-5)


def numpy_swiglu(x, params, kind):
    gate_up = np.asarray(params["gate_up"]["kernel"], np.float64)
    gate, up = np.split(x @ gate_up, 2, axis=-1)
    product = gate * up if kind == "silu" else numpy_rms(gate * up)
    return (product / (1 + np.exp(-gate))) @ np.asarray(params["down"]["kernel"], np.float64)


def numpy_rotate(x):
    """Each pair (i, i + half) of channels is a complex number, turned by token / 1e4^(i / half)."""
    half = x.shape[-1] // 2
    angle = np.arange(x.shape[1])[:, None] / 1e4 ** (np.arange(half) / half)
    turned = (x[..., :half] + 1j * x[..., half:]) * np.exp(1j * angle)[None, :, None]
    return np.concatenate([turned.real, turned.imag], axis=-1)


def numpy_attention(x, params, heads, rotary):
    batch, tokens, width = x.shape
    q, k, v = np.split(x @ np.asarray(params["qkv"]["kernel"], np.float64), 3, axis=-1)
    q, k, v = (a.reshape(batch, tokens, heads, width // heads) for a in (q, k, v))
    if rotary:
        q, k = numpy_rotate(q), numpy_rotate(k)
    scores = np.einsum("bqhd,bkhd->bhqk", q, k) / np.sqrt(width // heads)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    mixed = np.einsum("bhqk,bkhd->bqhd", weights, v).reshape(batch, tokens, width)
    return mixed @ np.asarray(params["out"]["kernel"], np.float64)


def numpy_block(config, params, h):
    h = h.astype(np.float64)
    if config.mixer == "mlp":
        t = h.swapaxes(1, 2)
        h = numpy_rms(t + numpy_swiglu(t, params["token_mlp"], config.gate)).swapaxes(1, 2)
    else:
        rotary = config.positions == "rotary"
        h = numpy_rms(h + numpy_attention(h, params["attention"], config.heads, rotary))
    return numpy_rms(h + numpy_swiglu(h, params["mlp"], config.gate))


@pytest.mark.parametrize(
    ("width", "inner"),
    [(512, 1536), (97, 512), (32, 256), (96, 256), (97 - 16, 256), (128, 512), (916, 2560)],
)
def test_inner_width_is_two_thirds_of_four_rounded_up_to_256(width, inner):
    assert inner_width(width, 4.0) == inner


def test_inner_width_follows_the_expansion():
    assert inner_width(512, 1.0) == 512
    assert inner_width(512, 8.0) == 2816


@pytest.mark.parametrize("name", CONFIGS)
def test_block_is_the_post_norm_block_of_the_paper(name):
    config, h = CONFIGS[name], states(CONFIGS[name])
    params = block_params(config)
    got = apply_block(config, params, h)
    np.testing.assert_allclose(got, numpy_block(config, params, h), atol=2e-6)


@pytest.mark.parametrize("name", CONFIGS)
def test_every_token_hears_of_a_change_in_one(name):
    config, h = CONFIGS[name], states(CONFIGS[name])
    params = block_params(config)
    changed = h.copy()
    changed[0, 3] += 0.5
    before, after = (apply_block(config, params, x) for x in (h, changed))
    assert (np.abs(after - before)[0].max(axis=-1) > 1e-6).all()
    np.testing.assert_array_equal(after[1], before[1])


def test_order_of_tokens_matters_only_with_positions():
    def moves_along(config):
        h, order = states(config), np.random.default_rng(1).permutation(config.tokens)
        params = block_params(config)
        moved = apply_block(config, params, h[:, order])
        return np.allclose(moved, apply_block(config, params, h)[:, order], atol=1e-5)

    assert moves_along(PLAIN_ATTENTION)
    assert not moves_along(ATTENTION)
    assert not moves_along(MLP)


def test_the_token_mlp_has_its_weights_over_tokens():
    params = block_params(MLP)
    assert params["token_mlp"]["gate_up"]["kernel"].shape == (MLP.tokens, 512)
    assert params["token_mlp"]["down"]["kernel"].shape == (256, MLP.tokens)
    assert params["mlp"]["gate_up"]["kernel"].shape == (MLP.width, 512)


@pytest.mark.parametrize("name", CONFIGS)
def test_bfloat16_states_stay_bfloat16_on_float32_parameters(name):
    config = dataclasses.replace(CONFIGS[name], dtype="bfloat16")
    h = jnp.asarray(states(config), jnp.bfloat16)
    params = block_params(dataclasses.replace(config, dtype="float32"))
    jax.tree.map(np.testing.assert_array_equal, block_params(config), params)
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {np.dtype("float32")}
    got = apply(block(config), params, h)
    assert got.dtype == jnp.bfloat16
    expected = numpy_block(config, params, np.asarray(h, np.float64))
    np.testing.assert_allclose(np.asarray(got, np.float64), expected, atol=0.1)


@pytest.mark.parametrize("remat", ["none", "block"])
def test_network_is_its_blocks_one_after_the_other_each_with_its_own_weights(remat):
    config = dataclasses.replace(MLP, layers=3, remat=remat)
    h, network = states(config), Network(config, config.layers)
    params = draw_params(network)
    assert sorted(params) == ["block_0", "block_1", "block_2"]
    expected = h
    for i in range(3):
        expected = numpy_block(config, params[f"block_{i}"], expected)
    np.testing.assert_allclose(apply(network, params, h), expected, atol=1e-5)


@pytest.mark.parametrize(("dtype", "bound"), [("float32", 1e-6), ("bfloat16", 2**-7)])
def test_attend_equals_jax(dtype, bound):
    q, k, v = jnp.asarray(np.random.default_rng(0).normal(size=(3, 2, 19, 4, 8)), dtype)
    got = jax.jit(plain)(3 * q, k, v)
    assert got.dtype == dtype
    with jax.numpy_dtype_promotion("standard"):  # JAX's own is not clean under strict promotion
        expected = jax.jit(jax.nn.dot_product_attention)(3 * q, k, v)
    a, b = (np.asarray(x, np.float64) for x in (got, expected))
    np.testing.assert_allclose(a, b, atol=bound)


def test_rotate_is_a_complex_rotation():
    x = np.random.default_rng(0).normal(size=(2, 13, 3, 8)).astype(np.float32)
    got = rotate(x, *rotary_tables(13, 8))
    np.testing.assert_allclose(got, numpy_rotate(x.astype(np.float64)), atol=1e-6)
    np.testing.assert_array_equal(got[:, 0], x[:, 0])
    norms = (np.linalg.norm(a, axis=-1) for a in (got, x))
    np.testing.assert_allclose(*norms, rtol=1e-6)
    assert rotate(jnp.asarray(x, jnp.bfloat16), *rotary_tables(13, 8)).dtype == jnp.bfloat16


def test_rotated_products_depend_on_the_distance_alone():
    draw = np.random.default_rng(0)
    q, k = (np.tile(draw.normal(size=8), (1, 12, 1, 1)).astype(np.float32) for _ in range(2))
    tables = rotary_tables(12, 8)
    turned_q, turned_k = (np.asarray(rotate(a, *tables))[0, :, 0] for a in (q, k))
    products = turned_q @ turned_k.T
    for distance in range(-11, 12):
        diagonal = np.diagonal(products, distance)
        np.testing.assert_allclose(diagonal, diagonal[0], atol=1e-5)
    assert np.abs(products[0] - products[0, 0]).max() > 0.1
