"""Attention in several ways, all of them equal to the plain one, gradients too."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.pallas import tpu

from tests.models.test_kernels import normal, same_with_gradients
from tests.runs import TINY_MODEL
from trm_jax.models import attend, get_model


def arguments(batch, tokens, heads=2, width=16):
    return [normal(seed, batch, tokens, heads, width) for seed in range(3)]


@pytest.mark.parametrize("tokens", [100, 128, 300])
def test_chunked(tokens):
    same_with_gradients(attend.plain, attend.chunked, *arguments(2, tokens))


def test_chunked_never_holds_all_scores():
    q, k, v = arguments(1, 1024)
    both = [
        jax.jit(jax.grad(lambda q, f=f: jnp.sum(f(q, k, v)))).lower(q).compile().memory_analysis()
        for f in (attend.plain, attend.chunked)
    ]
    plain, chunked = (memory.temp_size_in_bytes for memory in both)
    assert chunked < plain / 2


@pytest.mark.slow
def test_flash():
    with tpu.force_tpu_interpret_mode():
        same_with_gradients(attend.plain, attend.flash, *arguments(1, 130, 1, 128), tolerance=1e-3)


@pytest.fixture
def cudnn_by_xla(monkeypatch):
    """CuDNN's own attention needs a GPU; what is around it does not."""
    real, seen = jax.nn.dot_product_attention, []

    def stand_in(q, k, v, *, implementation, **more):
        assert implementation == "cudnn" and q.shape[1] % 2 == 0
        seen.append(q.shape[1])
        return real(q, k, v, implementation="xla", **more)

    monkeypatch.setattr(jax.nn, "dot_product_attention", stand_in)
    return seen


@pytest.mark.parametrize("tokens", [6, 7])
def test_cudnn_gets_an_even_number_of_tokens(cudnn_by_xla, tokens):
    def ours(q, k, v):
        return attend.cudnn(q, k, v, tokens)[:, :tokens]

    same_with_gradients(attend.plain, ours, *arguments(2, tokens))
    assert set(cudnn_by_xla) == {tokens + tokens % 2}


@pytest.mark.slow
def test_a_model_fills_up_tokens_once(cudnn_by_xla, monkeypatch):
    """And nobody sees the token that was added, whatever comes of it in the blocks."""
    monkeypatch.setattr(attend, "_has_cudnn", lambda config: True)
    plain = dataclasses.replace(
        TINY_MODEL,
        mixer="attention",
        positions="rotary",
        heads=2,
        width=32,
        cells=6,
        prefix_tokens=1,
        dtype="float32",
        attention="plain",
    )
    outputs = []
    for config in (plain, dataclasses.replace(plain, attention="cudnn")):
        model = get_model(config)
        params = model.init(jax.random.key(0))
        shape = (2, config.tokens, config.width)
        latents = tuple(
            jnp.broadcast_to(v, shape) for v in model.initial_latents(jax.random.key(1))
        )
        inputs = jnp.ones((2, 6), jnp.int32)
        outputs.append(model.supervision_step(params, latents, inputs, normal(3, 2, 32)))
    assert cudnn_by_xla
    jax.tree.map(functools.partial(np.testing.assert_allclose, atol=1e-5), *outputs)


@pytest.mark.parametrize(
    ("platform", "dtype", "batch", "tokens", "name"),
    [
        ("gpu", "bfloat16", 8, 81, "cudnn"),
        ("gpu", "float32", 8, 81, "plain"),
        ("gpu", "float32", 128, 900, "chunked"),
        ("tpu", "bfloat16", 128, 900, "flash"),
        ("tpu", "bfloat16", 128, 81, "plain"),
        ("cpu", "bfloat16", 8, 81, "plain"),
        ("cpu", "float32", 128, 900, "chunked"),
    ],
)
def test_what_auto_stands_for(monkeypatch, platform, dtype, batch, tokens, name):
    monkeypatch.setattr(attend, "platform", lambda: platform)
    config = dataclasses.replace(
        TINY_MODEL, mixer="attention", heads=8, width=512, cells=tokens, dtype=dtype
    )
    assert attend.chosen(config, batch) == name
    assert attend.chosen(dataclasses.replace(config, attention="plain"), batch) == "plain"
    if name not in ("cudnn", "flash"):
        for absent in ("cudnn", "flash"):
            other = dataclasses.replace(config, attention=absent)
            has = absent == "flash" and platform == "tpu"
            assert attend.chosen(other, batch) == ("flash" if has else name)


@pytest.mark.parametrize("width", [6 * 8, 256 * 8])
def test_heads_that_cudnn_refuses(monkeypatch, width):
    monkeypatch.setattr(attend, "platform", lambda: "gpu")
    config = dataclasses.replace(
        TINY_MODEL, mixer="attention", heads=8, width=width, dtype="bfloat16", attention="cudnn"
    )
    assert attend.chosen(config, 8) == "plain"
