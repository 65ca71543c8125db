"""The lattice model: its size, its losses against NumPy, its rounds, and what it refuses."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from trm_jax.core.errors import UserError
from trm_jax.models import get_model
from trm_jax.models.lattice.deduce import eliminate, guess
from trm_jax.models.lattice.loss import Truth, loop_losses
from trm_jax.models.lattice.network import Said, drop, random_bytes
from trm_jax.models.lattice.settings import LatticeSettings
from trm_jax.models.settings import ModelConfig

TINY = ModelConfig(
    vocab=6,
    cells=16,
    kind="lattice",
    mixer="attention",
    positions="learned",
    prefix_tokens=0,
    width=16,
    heads=2,
    layers=1,
    T=1,
    n=2,
    N=3,
    dtype="float32",
)
SETTINGS = LatticeSettings()


def change(**settings):
    return dataclasses.replace(TINY, **settings)


def said(candidates, digits=None, conflict=None):
    """What heads might say, as float32 arrays."""
    candidates = jnp.asarray(candidates, jnp.float32)
    digits = candidates if digits is None else jnp.asarray(digits, jnp.float32)
    conflict = np.full(len(candidates), -9.0) if conflict is None else conflict
    return Said(candidates, digits, jnp.asarray(conflict, jnp.float32))


@pytest.mark.parametrize(
    ("side", "width", "layers", "count"),
    [(4, 32, 2, 26_217), (6, 64, 2, 102_221), (9, 128, 4, 799_507)],
)
def test_it_has_as_many_parameters_as_the_paper_says(side, width, layers, count):
    """0.8 million at 9x9; the smaller ones by the same formula."""
    config = change(vocab=side + 2, cells=side**2, width=width, heads=4, layers=layers)
    params = jax.eval_shape(get_model(config).init, jax.random.key(0))
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == count
    block = 12 * width**2 + 13 * width  # four matrices with biases, two norms
    heads = width + 1 + 2 * (width * side + side)
    embedding = side * width + width + 2 * side * width + width
    assert count == layers * block + 2 * width + heads + embedding


def test_a_given_has_one_candidate_and_an_empty_cell_all():
    model = get_model(TINY)
    found = np.asarray(model.candidates_of(jnp.asarray([[1, 2, 5, 1] * 4])))
    assert found[0, 0].all() and found[0, 3].all()
    np.testing.assert_array_equal(found[0, 1], [True, False, False, False])
    np.testing.assert_array_equal(found[0, 2], [False, False, False, True])


def test_the_losses_are_those_of_the_formulas():
    rng = np.random.default_rng(0)
    shape = (3, 5, 4)
    y = np.eye(4, dtype=bool)[rng.integers(0, 4, shape[:2])]
    s = y | (rng.random(shape) < 0.5)
    s[1, 2] &= ~y[1, 2]  # this state has lost a true digit
    given = rng.random(shape[:2]) < 0.3
    c, d = rng.normal(size=(2, *shape))
    q = rng.normal(size=3)
    losses = loop_losses(
        said(c, d, q), Truth(jnp.asarray(s), jnp.asarray(y), jnp.asarray(given)), SETTINGS
    )
    sound = (s & y).any(-1).all(-1)
    np.testing.assert_array_equal(sound, [True, False, True])
    t = s & y & sound[:, None, None]
    p = 1 / (1 + np.exp(-c))
    each = np.where(t, 4.0, 0.5) * -np.where(t, np.log(p), np.log1p(-p))
    np.testing.assert_allclose(losses.candidates, each.mean((1, 2)).sum(), rtol=1e-5)
    log_digits = d - np.log(np.exp(d).sum(-1, keepdims=True))
    counted = ~given & sound[:, None]
    np.testing.assert_allclose(losses.digits, -(log_digits * y).sum(-1)[counted].sum(), rtol=1e-5)
    z = 1 / (1 + np.exp(-q))
    expected = -np.where(sound, np.log1p(-z), np.log(z)).sum()
    np.testing.assert_allclose(losses.conflict, expected, rtol=1e-5)


@pytest.mark.parametrize("last_loop_only", [False, True])
def test_the_loss_is_the_mean_of_the_loops_or_the_last_ones(last_loop_only):
    settings = LatticeSettings(last_loop_only=last_loop_only, dropout=0.0)
    config = change(n=3, lattice=settings)
    model = get_model(config)
    params = model.init(jax.random.key(0))
    answers = jax.random.randint(jax.random.key(1), (4, 16), 0, 4)
    y = jax.nn.one_hot(answers, 4, dtype=bool)
    truth = Truth(jnp.ones_like(y), y, jnp.zeros((4, 16), bool))
    keys = jax.random.split(jax.random.key(2), 4)
    found, last = model.losses(params, truth, keys)
    each = []
    for n in (1, 2, 3):
        shallow = get_model(change(n=n, lattice=settings))
        each.append(loop_losses(shallow.loops(params, truth.candidates), truth, settings))
    expected = (
        each[-1] if last_loop_only else jax.tree.map(lambda *a: jnp.mean(jnp.stack(a)), *each)
    )
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5)
    np.testing.assert_allclose(last.digits, model.loops(params, truth.candidates).digits, rtol=1e-4)


def test_candidates_only_ever_shrink_and_givens_stay():
    candidates = jnp.asarray([[[1, 1, 1, 0], [0, 1, 0, 0], [1, 1, 0, 0]]], bool)
    given = jnp.asarray([[False, True, False]])
    logits = [[[-9, 9, 9, 9], [9, -9, 9, 9], [9, -9, 9, 9]]]
    deduced = eliminate(said(logits), candidates, given, SETTINGS)
    expected = [[[0, 1, 1, 0], [0, 1, 0, 0], [1, 0, 0, 0]]]
    np.testing.assert_array_equal(deduced.candidates, np.asarray(expected, bool))
    assert not deduced.solved[0] and not deduced.conflict[0]


@pytest.mark.parametrize("searching", [False, True])
def test_an_empty_cell_or_the_conflict_head_is_a_conflict(searching):
    candidates = jnp.ones((4, 2, 2), bool).at[:, 0, 1].set(False)
    logits = np.full((4, 2, 2), [9.0, -9.0])
    logits[0, 1] = -9  # its second cell loses both candidates
    conflict = [-9, 9, 0.2, -9]  # 0.2 is a probability of 0.55, between the two thresholds
    deduced = eliminate(
        said(logits, conflict=conflict),
        candidates,
        jnp.zeros((4, 2), bool),
        SETTINGS,
        searching=searching,
    )
    np.testing.assert_array_equal(deduced.conflict, [True, True, not searching, False])
    np.testing.assert_array_equal(deduced.solved, [False, False, searching, True])


def test_a_guess_fixes_one_undecided_cell_of_states_that_go_on():
    candidates = jnp.ones((64, 3, 4), bool).at[:, 0].set(jnp.asarray([True, False, False, False]))
    logits = np.zeros((64, 3, 4))
    logits[:, :, 2] = 20
    conflict = np.where(np.arange(64) < 8, 9, -9)
    heads = said(logits, conflict=conflict)
    deduced = eliminate(heads, candidates, jnp.zeros((64, 3), bool), SETTINGS)
    keys = jax.random.split(jax.random.key(0), 64)
    left = np.asarray(guess(deduced, heads, SETTINGS, keys))
    np.testing.assert_array_equal(left[:8], candidates[:8])
    cells = (left[8:] != np.asarray(candidates[8:])).any(-1)
    assert (cells.sum(1) == 1).all() and not cells[:, 0].any()
    assert cells[:, 1].any() and cells[:, 2].any()  # the cell is drawn
    np.testing.assert_array_equal(left[8:][cells], [[False, False, True, False]] * 56)


def test_without_keys_the_surest_cell_is_fixed():
    logits = np.zeros((1, 3, 4))
    logits[0, 1] = [1, 3, 2, 0]
    logits[0, 2] = [2, 1, 0, 0]
    heads = said(logits)
    deduced = eliminate(heads, jnp.ones((1, 3, 4), bool), jnp.zeros((1, 3), bool), SETTINGS)
    left = np.asarray(guess(deduced, heads, SETTINGS, None))[0]
    np.testing.assert_array_equal(left[1], [False, True, False, False])
    assert left[0].all() and left[2].all()


def dropped(x, keys):
    return drop(x, *random_bytes(x.shape, 0.25, keys))


def test_dropout_depends_on_the_slots_key_alone_and_keeps_the_mean():
    keys = jax.random.split(jax.random.key(0), 4)
    x = jnp.ones((4, 8, 64))
    whole = dropped(x, keys)
    np.testing.assert_array_equal(dropped(x[2:], keys[2:]), whole[2:])
    assert abs(float(jnp.mean(whole == 0)) - 0.25) < 0.05
    assert abs(float(jnp.mean(whole)) - 1) < 0.05
    np.testing.assert_array_equal(dropped(x, None), x)


def test_a_round_says_what_is_left_and_whether_it_is_solved():
    model = get_model(TINY)
    params = model.init(jax.random.key(0))
    inputs = jnp.asarray([[2, 3, 4, 5, 4, 5, 2, 3, 3, 2, 5, 4, 5, 4, 3, 2], [1] * 16])
    latents = model.start((), inputs)
    rows = jnp.zeros((2, 0))
    (after,), output = model.supervision_step(params, latents, inputs, rows)
    assert after.shape == (2, 16, 4) and output.logits.shape == (2, 16, 6)
    np.testing.assert_array_equal(jnp.argmax(output.logits[0], -1), inputs[0])
    assert (np.asarray(after) <= np.asarray(latents[0])).all()
    assert jnp.argmax(output.logits, -1).min() >= 2  # never a pad, never a blank


def test_without_its_token_the_conflict_head_is_silent():
    config = change(lattice=LatticeSettings(conflict_token=False))
    model = get_model(config)
    params = model.init(jax.random.key(0))
    assert "conflict_head" not in params and "conflict_token" not in params
    found = model.loops(params, jnp.ones((1, 16, 4), bool))
    assert np.isneginf(np.asarray(found.conflict)).all()


def test_flops_are_counted_as_xla_counts_them():
    config = change(n=1, width=32, heads=4, unroll=True)
    model = get_model(config)
    params = model.init(jax.random.key(0))
    run = jax.jit(model.loops).lower(params, jnp.ones((8, 16, 4), bool)).compile()
    counted = run.cost_analysis()["flops"]
    assert model.step_flops(8, train=False) == pytest.approx(counted, rel=0.25)
    assert model.step_flops(8, train=True) == 4 * model.step_flops(8, train=False)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"T": 3, "mixer": "mlp"}, "--config.model.mixer=attention --config.model.T=1"),
        ({"prefix_tokens": 16}, "--config.model.prefix_tokens=0"),
        ({"expansion": 2.0}, "--config.model.expansion=4.0"),
        ({"start": "random", "gate": "norm"}, "gate=silu --config.model.start=fixed"),
        ({"width": 18}, "a multiple of four times the 2 heads"),
        ({"noise": 0.1}, "config.model.noise is 0.1"),
        ({"cells": 15}, "15 cells"),
        ({"vocab": 3}, "3 token ids"),
    ],
)
def test_what_does_not_fit_is_refused(settings, words):
    with pytest.raises(UserError, match=words):
        get_model(change(**settings))


def test_a_recursive_model_refuses_what_only_a_lattice_model_has():
    recursive = {"kind": "trm", "prefix_tokens": 1, "lattice": LatticeSettings(dropout=0.2)}
    with pytest.raises(UserError, match="config.model.lattice.dropout is 0.2"):
        get_model(change(**recursive))


def test_shares_of_new_states_are_one_together_at_most():
    with pytest.raises(UserError, match="add up to more than 1"):
        LatticeSettings(filled_share=0.8, mistaken_share=0.3)
