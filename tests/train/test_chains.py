"""Winner take all, against each chain on its own."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import runs
from tests.infer.test_rollout import questions, weights
from trm_jax.config.experiment import from_dict
from trm_jax.core.errors import UserError
from trm_jax.core.mesh import make_mesh
from trm_jax.core.types import Batch
from trm_jax.models import act, get_model, losses
from trm_jax.models.flops import step_flops
from trm_jax.models.settings import LossConfig
from trm_jax.train.chains import compete
from trm_jax.train.gradient import over_devices, supervise

CONFIG = dataclasses.replace(runs.TINY_MODEL, start="random", N=4)
MODEL = get_model(CONFIG)
SLOTS, K = 4, 3
LOSS = LossConfig(kind="softmax", halt_weight=0.1)


@pytest.fixture(scope="module")
def race():
    """A refilled carry of three chains, everything to step on it, and what a step made of it."""
    inputs, ids = questions(SLOTS)
    batch = Batch(inputs=inputs, labels=inputs[::-1].copy(), ids=ids)
    initial = weights().initial
    start = act.draw_start(CONFIG, initial, SLOTS, jax.random.key(1), K)
    carry = act.refill(act.empty_carry(CONFIG, initial, SLOTS, K), batch, start)
    rows = jnp.zeros((SLOTS, CONFIG.table_width))
    drawn = act.explore(CONFIG, SLOTS, jax.random.key(2))
    params = jax.tree.map(jnp.asarray, weights().params)
    gradient = jax.jit(over_devices(MODEL, make_mesh(1), 1, LOSS))
    return carry, rows, drawn, params, gradient(params, rows, carry, drawn)


def chain(carry, number):
    """That chain of every slot."""
    y, z = carry.latents
    return carry.replace(latents=(y, z[:, number]))


@pytest.fixture(scope="module")
def alone(race):
    """What supervision says of each chain: the new states, and token losses [B]."""
    carry, rows, drawn, params, _ = race

    @jax.jit
    def step(carry):
        _, (after, output, _) = supervise(params, rows, carry, MODEL, drawn, LOSS)
        return after, losses.token_loss(output.logits, carry.batch.labels, LOSS)

    return [step(chain(carry, number)) for number in range(K)]


def winners(alone):
    return np.argmin([token for _, token in alone], axis=0)


def test_chains_share_y_and_differ_in_z(race):
    y, z = race[0].latents
    assert y.shape == (SLOTS, CONFIG.tokens, CONFIG.width)
    assert z.shape == (SLOTS, K, CONFIG.tokens, CONFIG.width)
    assert len(np.unique(np.asarray(z)[:, :, 0, 0])) == SLOTS * K
    assert act.chain_count(race[0]) == K and act.chain_count(chain(race[0], 0)) == 1


def test_the_lowest_token_loss_wins(race, alone):
    carry, rows, _, params, _ = race
    found, kept, keys = jax.jit(lambda c: compete(params, rows, c, MODEL, None, LOSS))(carry)
    assert keys is None and len(set(winners(alone).tolist())) > 1
    for slot, winner in enumerate(winners(alone)):
        np.testing.assert_array_equal(found.latents[1][slot], carry.latents[1][slot, winner])
    np.testing.assert_array_equal(found.latents[0], carry.latents[0])
    for number, (after, _) in enumerate(alone):
        np.testing.assert_allclose(kept[0][:, number], after.latents[1], atol=1e-4)


def test_the_winner_gives_its_y_and_all_keep_their_z(race, alone):
    after = race[-1][2]
    for slot, winner in enumerate(winners(alone)):
        expected = alone[winner][0].latents[0][slot]
        np.testing.assert_allclose(after.latents[0][slot], expected, atol=1e-4)
    for number, (one, _) in enumerate(alone):
        np.testing.assert_allclose(after.latents[1][:, number], one.latents[1], atol=1e-4)
    np.testing.assert_array_equal(after.steps, np.ones(SLOTS))


def test_only_the_winner_is_learned_from(race, alone):
    """The gradient, and the metrics, are those of a carry that never had other chains."""
    carry, rows, drawn, params, (grads, row_grads, _, metrics) = race
    z = np.asarray(carry.latents[1])[np.arange(SLOTS), winners(alone)]
    single = carry.replace(latents=(carry.latents[0], jnp.asarray(z)))
    gradient = jax.jit(over_devices(MODEL, make_mesh(1), 1, LOSS))
    expected = gradient(params, rows, single, drawn)
    for a, b in zip(
        jax.tree.leaves((grads, row_grads, metrics)),
        jax.tree.leaves((expected[0], expected[1], expected[3])),
        strict=True,
    ):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)


def test_a_winner_takes_its_step_again_with_the_same_noise(race):
    """Else what is learned from is not what won."""
    carry, rows, _, params, _ = race
    model = get_model(dataclasses.replace(CONFIG, noise=0.5))
    noise_keys = jax.random.split(jax.random.key(3), SLOTS)

    @jax.jit
    def both(carry):
        found, kept, keys = compete(params, rows, carry, model, noise_keys, LOSS)
        again = model.supervision_step(params, found.latents, carry.batch.inputs, rows, keys)
        return kept[0], again[0][1]

    kept, again = both(carry)
    nearest = np.abs(np.asarray(kept) - np.asarray(again)[:, None]).max(axis=(2, 3)).min(axis=1)
    assert nearest.max() < 1e-3


def test_what_it_costs():
    """T (n + 1) evaluations forward for each chain, then an update as without chains."""
    one, four = (step_flops(CONFIG, SLOTS, train=True, chains=k) for k in (1, 4))
    assert four - one == 4 * step_flops(CONFIG, SLOTS, train=False)


def test_what_cannot_have_chains_is_refused():
    with pytest.raises(UserError, match=r"config\.chains is 4.*set config\.model\.start to 'rand"):
        from_dict({"chains": 4})
    with pytest.raises(UserError, match=r"config\.chains is 0"):
        from_dict({"chains": 0})
    for kind in ("trm_single_z", "transformer"):
        with pytest.raises(UserError, match=rf"config\.chains is 4.*'{kind}'.*lacks; set it to 1"):
            from_dict({"chains": 4, "model": {"start": "random", "kind": kind}})
