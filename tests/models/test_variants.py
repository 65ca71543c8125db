"""The registry: every model of the papers' tables, its size, its states, and that it learns."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.runs import TINY_MODEL
from trm_jax.config.experiment import OptimizerConfig, TableConfig
from trm_jax.core.errors import UserError
from trm_jax.core.mesh import make_mesh
from trm_jax.core.types import Batch, Output
from trm_jax.data.pipeline import BatchSource
from trm_jax.models import VARIANTS, get_model
from trm_jax.models.flops import step_flops
from trm_jax.models.settings import LossConfig, ModelConfig
from trm_jax.tasks.sudoku.build import build
from trm_jax.tasks.views import view
from trm_jax.train.method import Recipe
from trm_jax.train.trainer import make_trainer

SUDOKU = {"vocab": 11, "cells": 81}
ATTENTION = {"mixer": "attention", "positions": "rotary"}
HRM = {"kind": "hrm", "layers": 4, "T": 2, "n": 2, "prefix_tokens": 1} | ATTENTION


def parameters(**settings):
    params = jax.eval_shape(get_model(ModelConfig(**settings)).init, jax.random.key(0))
    return sum(leaf.size for leaf in jax.tree.leaves(params))


@pytest.mark.parametrize(
    ("count", "settings"),
    [
        (5_028_866, SUDOKU),
        (6_828_034, SUDOKU | ATTENTION),
        (6_822_914, {"vocab": 6, "cells": 900} | ATTENTION),
        # The eight blocks, the token embedding and both heads; not the puzzle row nor the two
        # fixed initial vectors, which the published code keeps in buffers.
        (27_275_266, SUDOKU | HRM),
    ],
    ids=["Sudoku MLP", "Sudoku attention", "Maze attention", "Sudoku HRM"],
)
def test_published_parameter_counts(count, settings):
    assert parameters(**settings) == count


def test_what_hrms_count_includes():
    block = 4 * 512**2 + 3 * 512 * 1536
    assert parameters(**SUDOKU | HRM) == 8 * block + 2 * 11 * 512 + 2 * 512 + 2


def test_sizes_of_the_ablations_follow_from_trms():
    """Table 1 has 10M for both of these; all other TRM rows are TRM's size."""
    heads = 2 * 11 * 512 + 2 * 512 + 2
    networks = parameters(**SUDOKU) - heads
    assert parameters(**SUDOKU, kind="trm_two_networks") == 2 * networks + heads
    assert parameters(**SUDOKU, layers=4, n=3) == 2 * networks + heads
    for kind in ("trm_continue", "trm_one_step", "trm_single_z", "trm_multi_z", "transformer"):
        assert parameters(**SUDOKU, kind=kind) == parameters(**SUDOKU)


def test_networks_of_different_depth():
    both = parameters(**SUDOKU | HRM | {"layers": 3, "y_layers": 1})
    assert both == parameters(**SUDOKU | HRM | {"layers": 2})


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("trm", ("y", "z")),
        ("trm_single_z", ("z",)),
        ("trm_multi_z", ("y", "z1", "z2", "z3")),
        ("hrm", ("y", "z")),
        ("transformer", ("y",)),
    ],
)
def test_states(kind, names):
    model = get_model(dataclasses.replace(TINY_MODEL, kind=kind, n=3))
    assert model.state_names == names
    vectors = model.initial_latents(jax.random.key(0))
    assert len({vector.tobytes() for vector in map(np.asarray, vectors)}) == len(names)


@pytest.mark.parametrize("kind", VARIANTS)
def test_who_wants_to_halt(kind):
    """HRM's models weigh the two logits against each other, TRM's look at one."""
    halt, go_on = jnp.asarray([1.0, 1.0, -1.0, -1.0]), jnp.asarray([0.0, 2.0, -2.0, 0.0])
    output = Output(logits=jnp.zeros((4, 1, 1)), halt_logits=halt, continue_logits=go_on)
    compares = kind in ("trm_continue", "hrm", "transformer")
    expected = [True, False, True, False] if compares else [True, True, False, False]
    np.testing.assert_array_equal(
        get_model(dataclasses.replace(TINY_MODEL, kind=kind)).wants_to_halt(output), expected
    )


def test_with_one_step_there_is_nothing_to_choose():
    for kind in VARIANTS:
        assert not get_model(dataclasses.replace(TINY_MODEL, kind=kind, N=1)).learns_to_continue


def test_unknown_model_is_refused_by_name():
    with pytest.raises(UserError, match=r"config\.model\.kind is 'trmm'.*trm.*hrm"):
        get_model(dataclasses.replace(TINY_MODEL, kind="trmm"))


@pytest.mark.parametrize(
    ("kind", "forward", "backward"),
    [
        ("trm", 21, 7),
        ("trm_two_networks", 21, 7),
        ("trm_one_step", 21, 2),
        ("trm_continue", 42, 7),
        ("trm_single_z", 21, 7),
        ("trm_multi_z", 21, 7),
        ("hrm", 42, 2),
        ("transformer", 1, 1),
    ],
)
def test_work_of_a_step(kind, forward, backward):
    """Network evaluations, as table 1 of the paper counts depth and forward passes."""
    config = ModelConfig(**SUDOKU, kind=kind)
    looks = 2 if kind in ("trm_continue", "hrm") else 1
    head = 2 * config.tokens * config.width * config.vocab
    network = (step_flops(ModelConfig(**SUDOKU, kind="transformer"), 1, train=False)) - head
    got = step_flops(config, 1, train=True) - head * (looks + 2)
    assert got == network * (forward + 2 * backward)


@functools.cache
def puzzles():
    """4x4, the very ones of the demonstration, only fewer."""
    return build(
        box=(2, 2),
        source="generate",
        train=200,
        heldout=10,
        extra_givens=4,
        seed=0,
    )


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("trm", {}),
        ("hrm", {}),
        *(pytest.param(k, {}, marks=pytest.mark.slow) for k in VARIANTS if k not in ("trm", "hrm")),
        pytest.param("trm", {"mixer": "digits", "prefix_tokens": 0}, marks=pytest.mark.slow),
    ],
)
def test_every_model_learns(kind, changes):
    """Twenty updates on 4x4 Sudoku: the loss of the last five is below that of the first five."""
    config = dataclasses.replace(TINY_MODEL, kind=kind, N=4, width=32, **changes)
    model = get_model(config)
    optimizer = OptimizerConfig(lr=3e-3, warmup=1, weight_decay=0.1)
    recipe = Recipe(
        batch_size=16,
        accumulate=1,
        chains=1,
        steps=20,
        log_every=1,
        optimizer=optimizer,
        schedule=optimizer,
        table=TableConfig(),
        loss=LossConfig(),
    )
    trainer = make_trainer(recipe, model, make_mesh(1), 1, {})
    state, step = trainer.init(jax.random.key(0)), trainer.step(config.T, config.n)
    shown = view(puzzles(), 10, 0, train=True)
    source = BatchSource(puzzles(), shown, "train", batch_size=16, seed=0)
    losses = []
    for i in range(20):
        state, means = step(state, Batch(**source[i]))
        losses.append(float(means["token_loss"]))
        assert ("continue_loss" in means) == model.learns_to_continue
        assert np.isfinite(float(means["loss"]))
    assert np.mean(losses[-5:]) < np.mean(losses[:5]) - 0.1
