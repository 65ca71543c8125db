"""The recursion: what is computed, where the gradient is cut, what is stored for it."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from trm_jax.models.recursion import deep_recursion, latent_recursion

SHAPE = (2, 5, 8)


def net(params, h):
    return jnp.tanh(h @ params["in"]) @ params["out"]


def plain(params, y, z, x, n):
    """Figure 3 of the paper, word by word."""
    for _ in range(n):
        z = net(params, x + y + z)
    y = net(params, y + z)
    return y, z


def arguments(shape=SHAPE, inner=16):
    def draw(*shape):
        return generator.normal(size=shape).astype(np.float32)

    generator = np.random.default_rng(0)
    params = {"in": draw(shape[-1], inner) / 4, "out": draw(inner, shape[-1]) / 4}
    return params, draw(*shape), draw(*shape), draw(*shape)


def loss(params, y, z, x, *, T=3, n=2, unroll=False):
    y, z = deep_recursion(net, params, y, z, x, T=T, n=n, unroll=unroll)
    return jnp.sum(jnp.sin(y)) + jnp.sum(z**2)


@functools.cache
def gradients(T, n, unroll):
    gradient = jax.grad(functools.partial(loss, T=T, n=n, unroll=unroll), (0, 1, 2, 3))
    return jax.jit(gradient)(*arguments())


def trees_close(actual, expected, rtol=1e-5):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol, 1e-5), actual, expected)


@pytest.mark.parametrize("unroll", [True, False])
@pytest.mark.parametrize("n", [1, 3])
def test_latent_recursion_is_the_plain_loop(n, unroll):
    params, y, z, x = arguments()
    latent = functools.partial(latent_recursion, net, n=n, unroll=unroll)
    got = jax.jit(latent)(params, y, z, x)
    trees_close(got, plain(params, y, z, x, n))


@pytest.mark.parametrize("unroll", [True, False])
@pytest.mark.parametrize(("T", "n"), [(1, 2), (2, 1), (4, 3)])
def test_deep_recursion_is_the_plain_loop(T, n, unroll):
    params, y, z, x = arguments()
    deep = functools.partial(deep_recursion, net, T=T, n=n, unroll=unroll)
    got = jax.jit(deep)(params, y, z, x)
    for _ in range(T):
        y, z = plain(params, y, z, x, n)
    trees_close(got, (y, z))


@pytest.mark.parametrize("T", [1, 4])
def test_only_the_last_recursion_has_gradient(T):
    params, y, z, x = arguments()
    for _ in range(T - 1):
        y, z = plain(params, y, z, x, 2)

    def last(params, x):
        new_y, new_z = plain(params, y, z, x, 2)
        return jnp.sum(jnp.sin(new_y)) + jnp.sum(new_z**2)

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
        return jnp.sum(jnp.sin(y)) + jnp.sum(z**2)

    full = jax.jit(jax.grad(uncut))(*arguments())
    difference = jax.tree.map(lambda a, b: np.abs(a - b).max(), full, gradients(4, 2, False)[0])
    assert min(jax.tree.leaves(difference)) > 0.01


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
