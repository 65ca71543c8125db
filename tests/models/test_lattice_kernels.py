"""The kernels of lattice blocks beside their plain twins, forward and backward, interpreted."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from tests.models.test_kernels import normal, same_with_gradients
from trm_jax.core.numerics import normalised
from trm_jax.models.kernels import add_affine, norm_mlp, norm_qkv
from trm_jax.models.lattice.lattice_model import LatticeModel
from trm_jax.models.lattice.loss import Truth
from trm_jax.models.lattice.network import drop
from trm_jax.models.settings import ModelConfig

WIDTH = 64
ROWS = 150
DROPOUTS = [None, 26]


def chances(threshold):
    if threshold is None:
        return None, 0
    return jax.random.bits(jax.random.key(7), (ROWS, WIDTH), jnp.uint8), threshold


@pytest.mark.parametrize("threshold", DROPOUTS)
def test_mlp(threshold):
    bytes_and_threshold = chances(threshold)

    def plain(h, w):
        mixed = nn.gelu(normalised(h) @ w.up + w.up_bias[None]) @ w.down + w.down_bias[None]
        return h + drop(mixed, *bytes_and_threshold)

    up, down = normal(1, WIDTH, 4 * WIDTH, scale=0.2), normal(2, 4 * WIDTH, WIDTH, scale=0.2)
    weights = norm_mlp.Weights(up, normal(3, 4 * WIDTH), down, normal(4, WIDTH))
    same_with_gradients(
        plain,
        lambda h, w: norm_mlp.norm_mlp(h, w, *bytes_and_threshold),
        normal(0, ROWS, WIDTH),
        weights,
    )


@pytest.mark.parametrize("threshold", DROPOUTS)
def test_sum_with_a_product(threshold):
    bytes_and_threshold = chances(threshold)
    same_with_gradients(
        lambda h, x, kernel, bias: h + drop(x @ kernel + bias[None], *bytes_and_threshold),
        lambda *arguments: add_affine.add_affine(*arguments, *bytes_and_threshold),
        normal(0, ROWS, WIDTH),
        normal(1, ROWS, WIDTH),
        normal(2, WIDTH, WIDTH),
        normal(3, WIDTH),
    )


def test_queries_keys_values():
    same_with_gradients(
        lambda h, kernel, bias: (h, *jnp.split(normalised(h) @ kernel + bias[None], 3, axis=1)),
        norm_qkv.norm_qkv,
        normal(0, ROWS, WIDTH),
        normal(1, WIDTH, 3 * WIDTH),
        normal(2, 3 * WIDTH),
    )


def test_widths():
    assert norm_mlp.takes(128) and not norm_mlp.takes(96) and not norm_mlp.takes(512)


@pytest.mark.slow
def test_losses_and_what_is_said(monkeypatch):
    """The kernels of all blocks together, with dropout, where they are taken at all."""
    network = sys.modules["trm_jax.models.lattice.network"]
    monkeypatch.setattr(network, "fused", lambda kernels: kernels == "fused")
    fixed = {"kind": "lattice", "mixer": "attention", "positions": "learned", "prefix_tokens": 0}
    sizes = {"T": 1, "width": 32, "heads": 2, "layers": 1, "n": 2, "vocab": 6, "cells": 16}
    answers = jax.random.randint(jax.random.key(1), (3, 16), 0, 4)
    digits = jax.nn.one_hot(answers, 4, dtype=bool)
    candidates = digits | jax.random.bernoulli(jax.random.key(2), 0.5, digits.shape)
    truth = Truth(candidates, digits, jnp.sum(candidates, -1) == 1)
    keys = jax.random.split(jax.random.key(3), 3)

    def model(kernels):
        return LatticeModel(ModelConfig(dtype="float32", kernels=kernels, **fixed, **sizes))

    def results(kernels):
        def whole(params):
            losses, said = model(kernels).losses(params, truth, keys)
            return sum(losses), said

        return jax.value_and_grad(whole, has_aux=True)(params)

    params = model("plain").init(jax.random.key(0))
    for ours, theirs in zip(
        *(jax.tree.leaves(results(k)) for k in ("fused", "plain")), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, atol=1e-4 * float(np.abs(theirs).max()) + 1e-7)
