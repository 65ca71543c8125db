"""Every variant of every config is a valid experiment, with the published values if it says so."""

import dataclasses
import importlib
import math
import sys

import pytest

from tests import runs
from trm_jax.config.dotted import flat, with_overrides
from trm_jax.config.experiment import from_dict
from trm_jax.config.locate import filled
from trm_jax.sweep.outcomes import training_flops

sys.path.insert(0, str(runs.ROOT / "experiments"))  # as experiments/sweep.py itself does


TASKS = {"sudoku_hard": "sudoku", "lattice": "sudoku"}
"""Of the files that are not named after theirs."""


def experiment(file, variant):
    return from_dict(named(file, variant))


def named(file, variant):
    """What a config file says, and no more."""
    return runs.config_file(file).get_config(variant).to_dict()


@pytest.mark.parametrize(("file", "variant"), runs.variants())
def test_every_variant_is_an_experiment(file, variant):
    found = experiment(file, variant)
    assert found.name == f"{file}_{variant}" and found.data.task == TASKS.get(file, file)


@pytest.mark.parametrize(("file", "variant"), runs.variants())
def test_a_variant_names_few_settings_and_gives_them_all_when_it_is_filled_in(file, variant):
    config, found = named(file, variant), experiment(file, variant)
    assert len(flat(config)) < 0.6 * len(flat(found.to_dict()))
    assert from_dict(filled(config)) == from_dict(found.to_dict()) == found


def test_the_plain_recipe_is_that_of_the_other_file():
    plain = experiment("sudoku_hard", "published")
    assert dataclasses.replace(plain, name="sudoku_hard") == experiment("sudoku", "hard")


@pytest.mark.parametrize("size", ["four", "six"])
def test_both_small_recipes_cost_the_same(size):
    """But for the gate no setting of theirs is in the count."""
    plain, fast = (experiment("sudoku_hard", variant) for variant in (size, f"{size}_fast"))
    assert flops(fast) == flops(plain)
    assert fast.optimizer.name == "muon" and fast.model.gate == "norm"
    assert fast.data == plain.data


def flops(found):
    """Of the whole training, each stage of a curriculum at its own depth."""
    side = math.prod(found.data.options.box)
    model = found.model_config({"vocab": side + 2, "cells": side**2})
    return training_flops(found, model, found.steps)


@pytest.mark.parametrize("size", ["four", "six"])
def test_every_arm_of_the_recipes_costs_the_same(size):
    base = named("sudoku_hard", size)
    arms = dict(importlib.import_module("recipes").get_sweep(size))
    plain = from_dict(base)
    assert from_dict(with_overrides(base, arms["plain"])) == plain
    for name, overrides in arms.items():
        arm = from_dict(with_overrides(base, overrides))
        assert flops(arm) == pytest.approx(flops(plain), rel=0.01), name
        assert (name == "plain") == (arm == plain)


@pytest.mark.parametrize("size", ["four", "six"])
def test_the_quick_recipe_pays_less_for_an_update(size):
    base = named("sudoku_hard", size)
    arms = dict(importlib.import_module("time_to_accuracy").get_sweep(size))
    found = {name: from_dict(with_overrides(base, settings)) for name, settings in arms.items()}
    each = {name: flops(arm) // arm.steps for name, arm in found.items()}
    plain = flops(from_dict(base)) // base["steps"]
    cheap = {name: each.pop(name) for name in ("quick", "digits") if name in each}
    assert max(cheap.values()) < plain / 1.9 and set(each.values()) == {plain}
    assert len({arm.data for arm in found.values()}) == 1, "other puzzles"


@pytest.mark.parametrize("file", runs.VARIANTS)
def test_an_unknown_variant_names_the_known_ones(file):
    with pytest.raises(ValueError, match="unknown variant 'x'") as error:
        runs.config_file(file).get_config("x")
    assert all(variant in str(error.value) for variant in runs.VARIANTS[file])


@pytest.mark.parametrize(
    ("file", "variant", "n", "weight_decay", "table_lr", "copies"),
    [
        ("sudoku", "extreme", 6, 1.0, 1e-4, 1000),
        ("maze", "hard", 4, 1.0, 1e-4, 0),
        ("maze", "hard_n6", 6, 1.0, 1e-4, 0),
        ("arc", "arc1", 4, 0.1, 1e-2, 1000),
        ("arc", "arc2", 4, 0.1, 1e-2, 1000),
    ],
)
def test_published_values(file, variant, n, weight_decay, table_lr, copies):
    found = experiment(file, variant)
    assert (found.model.T, found.model.n, found.model.N) == (3, n, 16)
    assert (found.model.width, found.model.layers, found.model.heads) == (512, 2, 8)
    assert (found.batch_size, found.optimizer.lr, found.optimizer.ema) == (768, 1e-4, 0.999)
    assert found.optimizer.weight_decay == found.table.weight_decay == weight_decay
    assert (found.table.lr, found.data.copies) == (table_lr, copies)
    if file != "sudoku":
        assert (found.model.mixer, found.model.positions) == ("attention", "rotary")
