"""Recipes beyond the published one: the same on any mesh, and after any stop."""

import dataclasses
import functools
import os
import signal

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import runs
from trm_jax.config.experiment import MeshConfig
from trm_jax.core.errors import EXIT_DONE, EXIT_RESTART_ME
from trm_jax.core.mesh import over_slots, to_global
from trm_jax.core.types import Batch
from trm_jax.models import act, get_model, losses
from trm_jax.models.settings import LossConfig
from trm_jax.tasks.random_puzzles import random_puzzles
from trm_jax.tasks.sources import open_training_data
from trm_jax.train import loop
from trm_jax.train.gradient import supervise
from trm_jax.train.run import prepare

SLOTS = 8
RECIPES = {
    "published": {},
    "muon": {"optimizer": {"name": "muon", "clip": 1.0, "lr_min_ratio": 0.0, "ema_start": 3}},
    "gate": {"model": {"gate": "norm"}},
    "loss": {
        "loss": {"kind": "softmax", "label_smoothing": 0.2, "halt_weight": 0.05, "step_decay": 0.7}
    },
    "start": {"model": {"start": "random"}},
    "damping": {"model": {"damping": 0.05}},
    "noise": {"model": {"noise": 0.1}},
    "chains": {"chains": 3, "model": {"start": "random", "damping": 0.05, "noise": 0.05}},
    "curriculum": {"curriculum": ((0.0, 1, 1), (0.4, 1, 2), (0.7, 2, 1))},
}


@pytest.fixture(autouse=True)
def usual_promotion():
    """Adam and Muon of optax are not clean under strict promotion."""
    with jax.numpy_dtype_promotion("standard"):
        yield


def random_batch(number):
    draw = np.random.default_rng(number)
    cells = draw.integers(2, 6, (2, 1, SLOTS, 16)).astype(np.int32)
    return Batch(inputs=cells[0], labels=cells[1], ids=np.zeros((1, SLOTS), np.int32))


def after(experiment, updates, devices=1):
    """Every array after some updates on random puzzles, by name, and the run."""
    experiment = dataclasses.replace(experiment, mesh=MeshConfig(data=devices))
    run = prepare(experiment, random_puzzles(experiment.data, SLOTS))
    state = run.init(jax.random.key(experiment.seed))
    for done in range(updates):
        batch = to_global(random_batch(done), over_slots(run.mesh, axis=1))
        state, _ = run.step_at(done)(state, batch)
    return runs.arrays(state), run


@functools.cache
def on_one_device(name):
    return after(runs.experiment(**RECIPES[name]), 6)[0]


@pytest.mark.parametrize("name", [name for name in RECIPES if name != "published"])
def test_each_recipe_learns_something_else(name):
    plain, mine = (
        {k: v for k, v in on_one_device(n).items() if "weights.params" in k}
        for n in ("published", name)
    )
    assert plain.keys() == mine.keys()
    moved = [k for k in plain if not np.allclose(plain[k], mine[k], atol=1e-5)]
    assert any("network" in k for k in moved)


@pytest.mark.parametrize(
    "name",
    ["muon", *(pytest.param(n, marks=pytest.mark.slow) for n in ("loss", "curriculum", "chains"))],
)
def test_one_device_and_eight_agree_to_rounding(name):
    """The chains have random starts and noise, too."""
    runs.assert_near(on_one_device(name), after(runs.experiment(**RECIPES[name]), 6, devices=8)[0])


@pytest.mark.slow
def test_slots_taken_in_parts_are_all_of_them():
    parts = runs.experiment(**RECIPES["chains"], accumulate=4)
    runs.assert_near(on_one_device("chains"), after(parts, 6)[0])


def last_state(root, experiment):
    dataset = open_training_data(experiment.data, root / "data")
    run = prepare(experiment, dataset)
    with loop.Checkpoints(loop.WorkDir(root).checkpoints) as checkpoints:
        assert checkpoints.latest_step() == experiment.steps
        return runs.arrays(checkpoints.restore(experiment.steps, run.shapes, run.shardings))


@pytest.mark.parametrize("name", ["muon", pytest.param("curriculum", marks=pytest.mark.slow)])
def test_stopped_in_the_middle_and_resumed_bit_for_bit(name, tmp_path, monkeypatch):
    """After 6 of 12 updates: the curriculum's second stage began after 5, its third after 8."""
    experiment = runs.experiment(**RECIPES[name], eval_every=0, checkpoint_every=12)
    assert loop.train(experiment, tmp_path / "whole") == EXIT_DONE
    with monkeypatch.context() as patch:
        stream = loop.training_batches

        def stopped(run, done):
            for number, batch in enumerate(stream(run, done), 1):
                if number == 6:
                    os.kill(os.getpid(), signal.SIGTERM)
                yield batch

        patch.setattr(loop, "training_batches", stopped)
        assert loop.train(experiment, tmp_path / "stopped") == EXIT_RESTART_ME
    assert loop.train(experiment, tmp_path / "stopped") == EXIT_DONE
    whole, resumed = (last_state(tmp_path / n, experiment) for n in ("whole", "stopped"))
    runs.assert_same(whole, resumed)
    assert runs.metrics(tmp_path / "whole") == runs.metrics(tmp_path / "stopped")


def supervised(loss_config, steps):
    """Loss of slots that have had so many steps, and each slot's token and halting loss."""
    config = dataclasses.replace(runs.TINY_MODEL, N=4)
    model = get_model(config)
    params = jax.jit(model.init)(jax.random.key(0))
    initial = model.initial_latents(jax.random.key(1))
    batch = jax.tree.map(lambda a: jnp.asarray(a[0, : len(steps)]), random_batch(0))
    carry = act.refill(act.empty_carry(config, initial, len(steps)), batch, initial)
    carry = carry.replace(steps=jnp.asarray(steps, jnp.int32))
    rows = jnp.zeros((len(steps), config.table_width))
    drawn = act.explore(config, len(steps), jax.random.key(2))
    step = jax.jit(lambda *now: supervise(*now, model, drawn, loss_config))
    loss, (_, output, _) = step(params, rows, carry)
    _, exact = losses.exactness(output.logits.argmax(-1), batch.labels)
    token = losses.token_loss(output.logits, batch.labels, loss_config)
    return float(loss), np.asarray(token), np.asarray(losses.halt_loss(output.halt_logits, exact))


def test_the_loss_weighs_halting_and_steps():
    for weight, decay in ((0.5, 1.0), (0.05, 1.0), (0.5, 0.7)):
        loss, token, halting = supervised(LossConfig(halt_weight=weight, step_decay=decay), [0, 3])
        powers = decay ** np.arange(4)
        weights = powers[[0, 3]] / powers.mean()
        np.testing.assert_allclose(loss, (weights * (token + weight * halting)).sum(), rtol=1e-6)
