"""Kernels beside their plain twins, forward and backward, interpreted."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.runs import TINY_MODEL
from trm_jax.core.errors import UserError
from trm_jax.core.numerics import rms_norm
from trm_jax.models import check_model, get_model, layers, mixers
from trm_jax.models.kernels import rotary_qkv, row_swiglu, target, token_swiglu
from trm_jax.models.layers import gated
from trm_jax.models.rotary import rotary_tables, rotate

INNER = 256


def normal(seed, *shape, scale=1.0):
    return jax.random.normal(jax.random.key(seed), shape) * scale


def plain_rows(x, gate_up, down):
    gate, up = jnp.split(x @ gate_up, 2, axis=-1)
    return gated(gate, up, "silu", -1) @ down


def plain_tokens(h, gate_up, down):
    gate, up = jnp.split(gate_up.T @ h, 2, axis=0)
    return rms_norm(h + down.T @ gated(gate, up, "silu", 0), axis=0)


def same_with_gradients(plain, fused, *arguments, tolerance=1e-5):
    """The results, and the gradients by all arguments for a random one by the result."""
    (ours, ours_back), (theirs, theirs_back) = (jax.vjp(f, *arguments) for f in (fused, plain))
    assert all(np.any(a) for a in jax.tree.leaves(theirs))
    into = jax.tree.map(lambda a: normal(9, *a.shape).astype(a.dtype), theirs)
    for mine, other in zip(
        jax.tree.leaves((ours, ours_back(into))),
        jax.tree.leaves((theirs, theirs_back(into))),
        strict=True,
    ):
        assert mine.dtype == other.dtype
        mine, other = (np.asarray(a, np.float32) for a in (mine, other))
        scale = np.sqrt(np.mean(other**2)) or 1.0  # heads that have no part in a result
        np.testing.assert_allclose(mine / scale, other / scale, atol=tolerance)


@pytest.mark.parametrize("rows", [64, 128, 200], ids=["part", "whole", "and-a-part"])
def test_rows(rows):
    width = 64
    weights = normal(1, width, 2 * INNER, scale=0.1), normal(2, INNER, width, scale=0.1)
    x = normal(0, rows, width)
    same_with_gradients(plain_rows, row_swiglu.row_swiglu, x, *weights)


@pytest.mark.parametrize(("tokens", "columns"), [(20, 64), (97, 70), (128, 130)])
def test_tokens(tokens, columns):
    weights = normal(1, tokens, 2 * INNER, scale=0.1), normal(2, INNER, tokens, scale=0.1)
    h = normal(0, tokens, columns)
    same_with_gradients(plain_tokens, token_swiglu.token_swiglu, h, *weights)


@pytest.mark.parametrize(("batch", "tokens", "width", "heads"), [(3, 17, 64, 2), (1, 150, 128, 2)])
def test_queries_keys_values(batch, tokens, width, heads):
    cos, sin = (jnp.asarray(a, "float32") for a in rotary_tables(tokens, width // heads))

    def plain(x, kernel):
        parts = (x @ kernel).reshape(batch, tokens, 3 * heads, -1)
        q, k, v = jnp.split(parts, 3, axis=2)
        return rotate(q, cos, sin), rotate(k, cos, sin), v

    def fused(x, kernel):
        return rotary_qkv.rotary_qkv(x, kernel, cos, sin, heads)

    x, kernel = normal(0, batch, tokens, width), normal(1, width, 3 * width, scale=0.1)
    same_with_gradients(plain, fused, x, kernel)


def test_bfloat16_sums_are_float32():
    """Rounded at the end: no further from the float32 result than the plain form is."""
    arguments = normal(0, 128, 64), normal(1, 64, 2 * INNER), normal(2, INNER, 64)
    exact = plain_rows(*arguments)
    narrow = [a.astype(jnp.bfloat16) for a in arguments]

    def error(form):
        return float(jnp.sqrt(jnp.mean((form(*narrow).astype("float32") - exact) ** 2)))

    assert error(row_swiglu.row_swiglu) <= 1.05 * error(plain_rows)


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {"mixer": "mlp", "width": 64, "heads": 2},
        {"mixer": "attention", "positions": "rotary", "width": 64, "heads": 2},
        {"mixer": "digits", "width": 128, "prefix_tokens": 0, "vocab": 4},
    ],
    ids=lambda changes: changes["mixer"],
)
def test_a_supervision_step(monkeypatch, changes):
    plain = dataclasses.replace(
        TINY_MODEL, cells=16, T=1, n=1, layers=1, dtype="float32", **{"prefix_tokens": 1, **changes}
    )
    fused = dataclasses.replace(plain, kernels="fused")
    for module in (layers, mixers.attention):
        monkeypatch.setattr(module, "fused", lambda kernels: kernels == "fused")
    params = get_model(plain).init(jax.random.key(0))
    inputs = jax.random.randint(jax.random.key(2), (2, plain.cells), 1, plain.vocab)
    rows = normal(3, 2, plain.table_width)
    assert jax.tree.map(jnp.shape, get_model(fused).init(jax.random.key(0))) == jax.tree.map(
        jnp.shape, params
    )

    def logits(model):
        initial = model.initial_latents(jax.random.key(1))
        shape = (2, plain.tokens, plain.width)
        latents = tuple(jnp.broadcast_to(vector, shape) for vector in initial)
        return lambda params: model.supervision_step(params, latents, inputs, rows)[1].logits

    same_with_gradients(logits(get_model(plain)), logits(get_model(fused)), params, tolerance=1e-4)


def test_widths_that_kernels_do_not_take():
    assert row_swiglu.takes(512) and not row_swiglu.takes(100)
    assert token_swiglu.takes(128) and not token_swiglu.takes(129)
    assert rotary_qkv.takes(512, 64) and not rotary_qkv.takes(96, 48)


@pytest.mark.parametrize("changes", [{"gate": "norm"}, {"dtype": "float64"}])
def test_fused_is_refused_where_there_is_no_kernel(changes):
    with pytest.raises(UserError, match=r"config\.model\.kernels"):
        check_model(dataclasses.replace(TINY_MODEL, kernels="fused", **changes))


def test_they_are_interpreted_where_there_is_no_gpu(monkeypatch):
    assert target.platform() == "cpu" and target.options(2)["interpret"]
    monkeypatch.setattr(target, "platform", lambda: "gpu")
    assert not target.options(2)["interpret"]


def test_fused_is_plain_where_there_is_no_gpu(monkeypatch):
    assert not target.fused("fused")
    monkeypatch.setattr(target, "platform", lambda: "gpu")
    assert target.fused("fused") and not target.fused("plain")
