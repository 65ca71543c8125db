"""The recursion: what is computed, where the gradient is cut, what is stored for it."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from trm_jax.models.recursion import (
    Depth,
    Networks,
    direct_prediction,
    last_recursion,
    last_updates,
    latent_recursion,
    multi_scale_recursion,
    single_pass,
    single_recursion,
)

SHAPE = (2, 5, 8)


def net(params, h):
    return jnp.tanh(h @ params["in"]) @ params["out"]


def bind(params):
    """One network for z, another for y, so that no two updates can be taken for each other."""
    return Networks(*(functools.partial(net, params[name]) for name in "zy"))


def plain(params, y, z, x, n):
    """Figure 3 of the paper, word by word."""
    for _ in range(n):
        z = net(params["z"], x + y + z)
    y = net(params["y"], y + z)
    return y, z


def arguments(shape=SHAPE, inner=16):
    def draw(*shape):
        return generator.normal(size=shape).astype(np.float32)

    generator = np.random.default_rng(0)
    params = {
        name: {"in": draw(shape[-1], inner) / 4, "out": draw(inner, shape[-1]) / 4} for name in "zy"
    }
    return params, draw(*shape), draw(*shape), draw(*shape)


def deep(params, y, z, x, *, T=3, n=2, unroll=False, gradient=last_recursion):
    frozen = bind(jax.lax.stop_gradient(params))
    return gradient(latent_recursion, bind(params), frozen, (y, z), x, Depth(T, n, unroll))


def total(y, z):
    return jnp.sum(jnp.sin(y)) + jnp.sum(z**2)


def loss(params, y, z, x, **settings):
    return total(*deep(params, y, z, x, **settings))


@functools.cache
def gradients(T, n, unroll, gradient=last_recursion):
    settings = {"T": T, "n": n, "unroll": unroll, "gradient": gradient}
    return jax.jit(jax.grad(functools.partial(loss, **settings), (0, 1, 2, 3)))(*arguments())


def trees_close(actual, expected, rtol=1e-5):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol, 1e-5), actual, expected)


@pytest.mark.parametrize("unroll", [True, False])
@pytest.mark.parametrize("n", [1, 3])
def test_latent_recursion_is_the_plain_loop(n, unroll):
    params, y, z, x = arguments()
    got = latent_recursion(bind(params), (y, z), x, Depth(1, n, unroll))
    trees_close(got, plain(params, y, z, x, n))


@pytest.mark.parametrize("unroll", [True, False])
@pytest.mark.parametrize(("T", "n"), [(1, 2), (2, 1), (4, 3)])
@pytest.mark.parametrize("gradient", [last_recursion, last_updates])
def test_several_recursions_are_the_plain_loop(T, n, unroll, gradient):
    params, y, z, x = arguments()
    settings = {"T": T, "n": n, "unroll": unroll, "gradient": gradient}
    got = jax.jit(functools.partial(deep, **settings))(params, y, z, x)
    for _ in range(T):
        y, z = plain(params, y, z, x, n)
    trees_close(got, (y, z))


@pytest.mark.parametrize("T", [1, 4])
def test_only_the_last_recursion_has_gradient(T):
    params, y, z, x = arguments()
    for _ in range(T - 1):
        y, z = plain(params, y, z, x, 2)

    def last(params, x):
        return total(*plain(params, y, z, x, 2))

    expected = jax.jit(jax.grad(last, (0, 1)))(params, x)
    by_params, by_y, by_z, by_x = gradients(T, 2, False)
    trees_close((by_params, by_x), expected)
    np.testing.assert_array_equal(by_y, np.zeros(SHAPE))
    np.testing.assert_array_equal(by_z, np.zeros(SHAPE))


def test_the_cut_is_felt():
    """The full gradient through all recursions is a different one, so the test above can fail."""

    def uncut(params, y, z, x):
        for _ in range(4):
            y, z = plain(params, y, z, x, 2)
        return total(y, z)

    full = jax.jit(jax.grad(uncut))(*arguments())
    difference = jax.tree.map(lambda a, b: np.abs(a - b).max(), full, gradients(4, 2, False)[0])
    assert min(jax.tree.leaves(difference)) > 0.01


@pytest.mark.parametrize(("T", "n"), [(1, 1), (1, 3), (3, 1), (3, 2)])
def test_one_step_gradient_is_of_the_last_update_of_each_state(T, n):
    params, y, z, x = arguments()
    for _ in range(T - 1):
        y, z = plain(params, y, z, x, n)
    for _ in range(n - 1):
        z = net(params["z"], x + y + z)

    def last(params, x):
        return total(*plain(params, y, z, x, 1))

    expected = jax.jit(jax.grad(last, (0, 1)))(params, x)
    by_params, by_y, by_z, by_x = gradients(T, n, False, last_updates)
    trees_close((by_params, by_x), expected)
    assert not by_y.any() and not by_z.any()


def test_single_z_takes_the_question_n_times_and_then_nothing():
    params, _, z, x = arguments()
    got = single_recursion(bind(params), (z,), x, Depth(1, 3, False))
    for _ in range(3):
        z = net(params["z"], z + x)
    trees_close(got, (net(params["y"], z),))


def test_multi_scale_updates_each_z_once_from_the_sum_of_all():
    params, y, z, x = arguments()
    zs = [z, 2 * z, z - 1]
    got = multi_scale_recursion(bind(params), (y, *zs), x, Depth(1, 3, False))
    for i in range(3):
        zs[i] = net(params["z"], zs[0] + zs[1] + zs[2] + y + x)
    trees_close(got, (net(params["y"], y + zs[0] + zs[1] + zs[2]), *zs))


def test_direct_prediction_is_one_evaluation_whatever_t_and_n():
    params, y, _, x = arguments()
    nets = bind(params)
    got = single_pass(direct_prediction, nets, nets, (y,), x, Depth(5, 4, False))
    trees_close(got, (net(params["y"], y + x),))

    def answer(y):
        return single_pass(direct_prediction, nets, nets, (y,), x, Depth(1, 1, False))[0].sum()

    assert not jax.grad(answer)(y).any()


@pytest.mark.parametrize("T", [1, 3])
def test_unrolling_changes_nothing(T):
    trees_close(gradients(T, 2, True), gradients(T, 2, False))


def stored_bytes(T, n):
    """Temporary memory of the compiled gradient; the looping form keeps it plain to see."""
    shape = (64, 32, 16)
    gradient = jax.jit(jax.grad(functools.partial(loss, T=T, n=n)))
    compiled = gradient.lower(*arguments(shape, inner=64)).compile()
    return compiled.memory_analysis().temp_size_in_bytes


def test_recursions_without_gradient_store_nothing():
    activation = 64 * 32 * 16 * 4
    small = stored_bytes(T=2, n=2)
    assert stored_bytes(T=6, n=2) <= small + activation / 10
    assert stored_bytes(T=2, n=6) >= small + 4 * activation


def residuals(T):
    """Arrays that the backward pass needs of the forward one, before any compiler tidies up."""
    _, backward = jax.vjp(functools.partial(loss, T=T), *arguments())
    return sum(leaf.size for leaf in jax.tree.leaves(backward))


def test_nothing_of_them_is_kept_between_the_passes_either():
    assert residuals(T=2) == residuals(T=6) == residuals(T=30)
