"""Noise and restarts: on the states that are meant, and a function of the trajectory alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from trm_jax.core.errors import UserError
from trm_jax.infer.perturbation import Perturbation

NAMES = ("y", "z")
SHAPE = (6, 50, 64)


def states():
    return tuple(jnp.full(SHAPE, value, jnp.float32) for value in (1.0, 2.0))


def keys(perturbation, questions=range(6), trajectory=0):
    numbers = jnp.asarray(list(questions), jnp.int32)
    return perturbation.keys(numbers, jnp.full_like(numbers, trajectory))


def steps(count, value=0):
    return jnp.full((count,), value, jnp.int32)


@pytest.mark.parametrize(
    ("which", "changed"), [("y", [1, 0]), ("z", [0, 1]), ("both", [1, 1])], ids=["y", "z", "both"]
)
def test_noise_has_its_deviation_on_the_states_that_are_meant(which, changed):
    noise = Perturbation(noise=0.3, noise_on=which)
    new = noise.disturb(NAMES, states(), keys(noise), steps(6))
    for after, before, is_changed in zip(new, states(), changed, strict=True):
        gap = np.asarray(after - before)
        assert gap.std() == pytest.approx(0.3 * is_changed, rel=0.02)
        assert abs(gap.mean()) < 0.01
    np.testing.assert_array_equal(noise.begin(NAMES, states(), keys(noise))[0], states()[0])


@pytest.mark.parametrize(
    ("which", "changed"), [("y", [1, 0]), ("z", [0, 1]), ("both", [1, 1])], ids=["y", "z", "both"]
)
def test_a_restart_draws_truncated_normals_for_every_token(which, changed):
    restart = Perturbation(restart=which)
    new = restart.begin(NAMES, states(), keys(restart))
    for after, before, is_changed in zip(new, states(), changed, strict=True):
        if is_changed:
            assert np.std(after) == pytest.approx(1, rel=0.02) and abs(np.mean(after)) < 0.02
            assert np.abs(after).max() < 2.3  # cut at two deviations of the uncut normal
            assert len(np.unique(after[:, :, 0])) == after[:, :, 0].size
        else:
            np.testing.assert_array_equal(after, before)
    np.testing.assert_array_equal(restart.disturb(NAMES, new, keys(restart), steps(6))[0], new[0])


def test_states_other_than_y_count_as_z():
    noise = Perturbation(noise=1.0, noise_on="z")
    three = (*states(), states()[0])
    new = noise.disturb(("y", "z1", "z2"), three, keys(noise), steps(6))
    assert [bool((a != b).all()) for a, b in zip(new, three, strict=True)] == [False, True, True]
    assert (new[1] - three[1] != new[2] - three[2]).any()


def test_a_draw_depends_on_seed_question_trajectory_and_step_and_on_nothing_else():
    noise = Perturbation(noise=1.0)

    def draw(perturbation=noise, question=3, trajectory=1, step=2, slots=1):
        mine = keys(perturbation, [question] * slots, trajectory)
        zeros = (jnp.zeros((slots, 5, 4), jnp.bfloat16),)
        return np.asarray(perturbation.disturb(("y",), zeros, mine, steps(slots, step))[0][-1])

    base = draw()
    assert base.dtype == jnp.bfloat16
    np.testing.assert_array_equal(base, draw(slots=7))
    others = [
        draw(Perturbation(noise=1.0, seed=1)),
        draw(question=4),
        draw(trajectory=2),
        draw(step=3),
        draw(question=1, trajectory=3),
    ]
    assert all((base != other).any() for other in others)


def test_a_state_that_the_model_lacks_is_refused():
    Perturbation(noise=1.0, noise_on="z").check(("y", "z"))
    Perturbation(noise_on="z").check(("y",))  # without noise nothing is perturbed
    with pytest.raises(UserError, match="no state 'z'"):
        Perturbation(noise=1.0, noise_on="z").check(("y",))
    with pytest.raises(UserError, match="no state 'y'"):
        Perturbation(restart="y").check(("z",))


@pytest.mark.parametrize(
    "wrong", [{"noise": -1.0}, {"noise": float("nan")}, {"noise_on": "x"}, {"restart": "x"}]
)
def test_senseless_perturbations_are_refused(wrong):
    with pytest.raises(UserError, match="must be finite, and 0 or more|there are no states"):
        Perturbation(**wrong)


def test_keys_can_be_made_inside_a_program():
    noise = Perturbation(noise=1.0)
    inside = jax.jit(noise.keys)(steps(3, 5), steps(3, 7))
    np.testing.assert_array_equal(
        jax.random.key_data(inside), jax.random.key_data(noise.keys(steps(3, 5), steps(3, 7)))
    )
