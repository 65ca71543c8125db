"""Configs are filled in and checked before anything starts."""

import dataclasses
import json

import pytest

from trm_jax.config.experiment import Experiment, from_dict
from trm_jax.core.errors import UserError
from trm_jax.models.settings import ModelConfig
from trm_jax.config.experiment import OptimizerConfig

SUDOKU = {"vocab": 11, "cells": 81}


def test_an_empty_config_is_all_defaults():
    experiment = from_dict({})
    assert dataclasses.replace(experiment, model={}) == Experiment()
    assert experiment.model_config(SUDOKU) == ModelConfig(vocab=11, cells=81)


def test_what_is_given_stays_and_the_rest_is_default():
    experiment = from_dict(
        {
            "steps": 5000,
            "eval_every": 0,
            "model": {"width": 64, "mixer": "attention", "positions": "rotary"},
            "optimizer": {"lr": 1, "ema_scope": "all"},
            "data": {"box": [2, 2]},
        }
    )
    assert experiment.steps == 5000
    assert experiment.batch_size == Experiment().batch_size
    assert experiment.optimizer == OptimizerConfig(lr=1, ema_scope="all")
    assert experiment.data.box == (2, 2)
    model = experiment.model_config(SUDOKU)
    assert (model.width, model.mixer, model.N) == (64, "attention", 16)
    assert (model.vocab, model.cells) == (11, 81)


def test_round_trip_through_json():
    experiment = from_dict(
        {
            "name": "x",
            "model": {"width": 64, "prefix_tokens": 0, "unroll": False},
            "optimizer": {"name": "adamw", "ema": 0.0},
            "table": {"rows": 7},
            "data": {"box": [2, 3], "path": "a.csv"},
            "mesh": {"data": 4},
        }
    )
    text = json.dumps(experiment.to_dict())
    again = from_dict(json.loads(text))
    assert again == experiment
    assert json.dumps(again.to_dict()) == text


@pytest.mark.parametrize(
    ("config", "key"),
    [
        ({"stepz": 5}, "config.stepz"),
        ({"model": {"widht": 5}}, "config.model.widht"),
        ({"model": {"vocab": 5}}, "config.model.vocab"),  # the data set decides this
        ({"model": {"cells": 5}}, "config.model.cells"),
        ({"optimizer": {"rate": 5}}, "config.optimizer.rate"),
        ({"table": {"row": 5}}, "config.table.row"),
        ({"data": {"paht": "x"}}, "config.data.paht"),
        ({"mesh": {"model": 2}}, "config.mesh.model"),
    ],
)
def test_unknown_keys_are_refused_by_name(config, key):
    with pytest.raises(UserError, match=key):
        from_dict(config)


@pytest.mark.parametrize(
    ("config", "key"),
    [
        ({"steps": 1.5}, "config.steps"),
        ({"steps": "many"}, "config.steps"),
        ({"steps": True}, "config.steps"),
        ({"steps": None}, "config.steps"),
        ({"name": 3}, "config.name"),
        ({"model": {"width": 64.0}}, "config.model.width"),
        ({"model": {"T": True}}, "config.model.T"),
        ({"model": {"unroll": 1}}, "config.model.unroll"),
        ({"model": {"mixer": 1}}, "config.model.mixer"),
        ({"model": {"expansion": "4"}}, "config.model.expansion"),
        ({"optimizer": {"lr": "1e-4"}}, "config.optimizer.lr"),
        ({"optimizer": {"warmup": 2.0}}, "config.optimizer.warmup"),
        ({"table": {"lr": False}}, "config.table.lr"),
        ({"data": {"seed": "0"}}, "config.data.seed"),
        ({"mesh": {"data": "all"}}, "config.mesh.data"),
    ],
)
def test_wrong_types_are_refused_by_name(config, key):
    with pytest.raises(UserError, match=key):
        from_dict(config)


@pytest.mark.parametrize(
    ("config", "key"),
    [
        ({"batch_size": 0}, "config.batch_size"),
        ({"steps": 0}, "config.steps"),
        ({"steps_per_dispatch": 0}, "config.steps_per_dispatch"),
        ({"log_every": 0}, "config.log_every"),
        ({"checkpoint_every": -1}, "config.checkpoint_every"),
        ({"model": {"mixer": "convolution"}}, "config.model.mixer"),
        ({"model": {"T": 0}}, "config.model.T"),
        ({"optimizer": {"name": "sgd"}}, "config.optimizer.name"),
        ({"optimizer": {"lr": 0.0}}, "config.optimizer.lr"),
        ({"optimizer": {"warmup": -1}}, "warmup"),
        ({"optimizer": {"b1": 1.0}}, "config.optimizer.b1"),
        ({"optimizer": {"b2": -0.1}}, "config.optimizer.b2"),
        ({"optimizer": {"ema": 1.0}}, "config.optimizer.ema"),
        ({"optimizer": {"ema_scope": "none"}}, "config.optimizer.ema_scope"),
        ({"table": {"rows": -1}}, "config.table.rows"),
        ({"table": {"lr": -1.0}}, "config.table"),
        ({"table": {"weight_decay": -1.0}}, "config.table"),
    ],
)
def test_bad_values_are_refused_by_name(config, key):
    with pytest.raises(UserError, match=key):
        from_dict(config)


def test_an_integer_may_stand_for_a_float():
    assert from_dict({"optimizer": {"weight_decay": 1}}).optimizer.weight_decay == 1


def test_evaluations_fall_on_checkpoints():
    with pytest.raises(UserError, match=r"config\.eval_every 150 .*checkpoint_every"):
        from_dict({"eval_every": 150, "checkpoint_every": 100})
    assert from_dict({"eval_every": 0, "checkpoint_every": 100}).eval_every == 0
    assert from_dict({"eval_every": 300, "checkpoint_every": 100}).eval_every == 300


@pytest.mark.parametrize("key", ["steps", "log_every", "eval_every", "checkpoint_every"])
def test_events_fall_between_dispatches(key):
    even = {"steps": 40, "log_every": 4, "eval_every": 8, "checkpoint_every": 4}
    assert from_dict({**even, "steps_per_dispatch": 4}).steps_per_dispatch == 4
    with pytest.raises(UserError, match=f"config.{key} .*steps_per_dispatch"):
        from_dict({**even, key: even[key] + 2, "steps_per_dispatch": 4})


def test_configs_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        from_dict({}).steps = 3


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({"optimizer": 3}, "config.optimizer"),
        ({"model": None}, "config.model"),
        ({"model": {"expansion": 0.0}}, "expansion"),
        ({"optimizer": {"lr": float("nan")}}, "lr"),
        ({"optimizer": {"lr_min_ratio": -1.0}}, "lr_min_ratio"),
        ({"table": {"lr": float("nan")}}, "table"),
        ({"eval_every": -1000}, "eval_every"),
        ({"eval_batch_size": 0}, "eval_batch_size"),
        ({"seed": -1}, "seed"),
        ({"data": {"box": 3}}, "box"),
        ({"data": {"box": [3]}}, "box"),
        ({"data": {"base_examples": -1}}, "base_examples"),
        ({"data": {"copies": -1}}, "copies"),
        ({"data": {"task": "chess"}}, "chess"),
        ({"mesh": {"data": -1}}, "mesh"),
    ],
)
def test_senseless_values_are_refused(config, named):
    with pytest.raises(UserError, match=named):
        from_dict(config)
