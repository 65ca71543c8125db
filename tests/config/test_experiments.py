"""Every variant of every config is a valid experiment, with the published values if it says so."""

import dataclasses
import importlib
import sys

import pytest

from tests import runs
from trm_jax.config.dotted import flat, with_overrides
from trm_jax.config.experiment import from_dict
from trm_jax.sweep.outcomes import training_flops

sys.path.insert(0, str(runs.ROOT / "experiments"))  # as experiments/sweep.py itself does

VARIANTS = {
    "sudoku": ["demo", "quick", "six", "extreme", "extreme_attention", "hard"],
    "sudoku_hard": ["published", "fast", "digits", "four", "four_fast", "six", "six_fast"],
    "maze": ["small", "hard", "hard_n6"],
    "arc": ["debug", "arc1", "arc2"],
}


def experiment(file, variant):
    return from_dict(runs.config_file(file).get_config(variant).to_dict())


@pytest.mark.parametrize(("file", "variant"), [(f, v) for f, vs in VARIANTS.items() for v in vs])
def test_every_variant_is_an_experiment(file, variant):
    found = experiment(file, variant)
    assert found.name == f"{file}_{variant}" and found.data.task == file.removesuffix("_hard")


def test_the_plain_recipe_is_that_of_the_other_file():
    plain = experiment("sudoku_hard", "published")
    assert dataclasses.replace(plain, name="sudoku_hard") == experiment("sudoku", "hard")


@pytest.mark.parametrize("size", ["four", "six"])
def test_both_small_recipes_cost_the_same(size):
    """But for the gate no setting of theirs is in the count."""
    plain, fast = (experiment("sudoku_hard", variant) for variant in (size, f"{size}_fast"))
    assert flops(fast) == flops(plain)
    assert fast.optimizer.name == "muon" and fast.model["gate"] == "norm"
    assert fast.data == plain.data


def flops(found):
    """Of the whole training, each stage of a curriculum at its own depth."""
    side = found.data.box[0] * found.data.box[1]
    model = found.model_config({"vocab": side + 2, "cells": side**2})
    return training_flops(found, model, found.steps)


@pytest.mark.parametrize("size", ["four", "six"])
def test_every_arm_of_the_recipes_costs_the_same(size):
    base = runs.config_file("sudoku_hard").get_config(size).to_dict()
    arms = dict(importlib.import_module("recipes").get_sweep(size))
    plain = flops(from_dict(base))
    assert with_overrides(base, arms["plain"]) == base
    for name, overrides in arms.items():
        arm = from_dict(with_overrides(base, overrides))
        assert flops(arm) == pytest.approx(plain, rel=0.01), name
        changed = {k for k, v in flat(arm.to_dict()).items() if v != flat(base).get(k, v)}
        assert (name == "plain") == (not changed)


@pytest.mark.parametrize("size", ["four", "six"])
def test_the_quick_recipe_pays_less_for_an_update(size):
    base = runs.config_file("sudoku_hard").get_config(size).to_dict()
    arms = dict(importlib.import_module("time_to_accuracy").get_sweep(size))
    found = {name: from_dict(with_overrides(base, settings)) for name, settings in arms.items()}
    each = {name: flops(arm) // arm.steps for name, arm in found.items()}
    plain = flops(from_dict(base)) // base["steps"]
    cheap = {name: each.pop(name) for name in ("quick", "digits") if name in each}
    assert max(cheap.values()) < plain / 1.9 and set(each.values()) == {plain}
    assert len({arm.data for arm in found.values()}) == 1, "other puzzles"


@pytest.mark.parametrize("file", VARIANTS)
def test_an_unknown_variant_names_the_known_ones(file):
    with pytest.raises(ValueError, match="unknown variant 'x'") as error:
        runs.config_file(file).get_config("x")
    assert all(variant in str(error.value) for variant in VARIANTS[file])


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
    assert (found.model["T"], found.model["n"], found.model["N"]) == (3, n, 16)
    assert (found.model["width"], found.model["layers"], found.model["heads"]) == (512, 2, 8)
    assert (found.batch_size, found.optimizer.lr, found.optimizer.ema) == (768, 1e-4, 0.999)
    assert found.optimizer.weight_decay == found.table.weight_decay == weight_decay
    assert (found.table.lr, found.data.copies) == (table_lr, copies)
    if file != "sudoku":
        assert (found.model["mixer"], found.model["positions"]) == ("attention", "rotary")
