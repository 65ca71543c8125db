"""Configs are filled in and checked before anything starts."""

import dataclasses
import json

import pytest

from trm_jax.config.experiment import Experiment, OptimizerConfig, from_dict
from trm_jax.core.errors import UserError
from trm_jax.models.settings import ModelConfig

SUDOKU = {"vocab": 11, "cells": 81}


def test_an_empty_config_is_all_defaults():
    experiment = from_dict({})
    assert experiment == Experiment()
    assert experiment.model_config(SUDOKU) == ModelConfig(vocab=11, cells=81)


def test_what_is_given_stays_and_the_rest_is_default():
    experiment = from_dict(
        {
            "steps": 5000,
            "eval_every": 0,
            "model": {"width": 64, "mixer": "attention", "positions": "rotary"},
            "optimizer": {"lr": 1, "ema_scope": "all"},
            "data": {"sudoku": {"box": [2, 2]}},
        }
    )
    assert experiment.steps == 5000
    assert experiment.batch_size == Experiment().batch_size
    assert experiment.optimizer == OptimizerConfig(lr=1, ema_scope="all")
    assert experiment.data.options.box == (2, 2)
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
            "data": {"sudoku": {"box": [2, 3]}, "path": "a.csv"},
            "mesh": {"data": 4},
            "curriculum": [[0.0, 1, 2], [0.5, 3, 6]],
            "plugins": [],
        }
    )
    text = json.dumps(experiment.to_dict())
    again = from_dict(json.loads(text))
    assert again == experiment
    assert json.dumps(again.to_dict()) == text


@pytest.mark.parametrize(
    ("config", "key", "remedy"),
    [
        ({"stepz": 5}, "config.stepz", "did you mean config.steps?"),
        ({"lr": 5}, "config.lr", "did you mean config.optimizer.lr or config.table.lr?"),
        ({"model": {"widht": 5}}, "config.model.widht", "did you mean config.model.width?"),
        # the dataset decides these two
        (
            {"model": {"vocab": 5}},
            "config.model.vocab",
            "docs/reference/settings.md lists all of them.",
        ),
        (
            {"model": {"cells": 5}},
            "config.model.cells",
            "docs/reference/settings.md lists all of them.",
        ),
        ({"optimizer": {"rate": 5}}, "config.optimizer.rate", ""),
        ({"optimiser": {"lr": 5}}, "config.optimiser", "did you mean config.optimizer?"),
        ({"table": {"row": 5}}, "config.table.row", "did you mean config.table.rows?"),
        ({"data": {"paht": "x"}}, "config.data.paht", "did you mean config.data.path?"),
        ({"data": {"chess": {}}}, "config.data.chess", ""),
        ({"data": {"maze": {"box": 5}}}, "config.data.maze.box", "config.data.sudoku.box?"),
        ({"data": {"sudoku": {"size": 9}}}, "config.data.sudoku.size", ""),
        ({"mesh": {"model": 2}}, "config.mesh.model", ""),
    ],
)
def test_unknown_keys_are_refused_by_name_with_the_nearest(config, key, remedy):
    with pytest.raises(UserError) as error:
        from_dict(config)
    assert str(error.value).startswith(f"{key} is not a setting; ")
    assert str(error.value).endswith(remedy)


@pytest.mark.parametrize(
    ("config", "key"),
    [
        ({"steps": 1.5}, "config.steps is 1.5; .* int"),
        ({"steps": "many"}, "config.steps is 'many'; .* int"),
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
        ({"optimizer": {"warmup": -1}}, "config.optimizer.warmup is -1; it must be 0 or more"),
        ({"optimizer": {"b1": 1.0}}, "config.optimizer.b1"),
        ({"optimizer": {"b2": -0.1}}, "config.optimizer.b2"),
        ({"optimizer": {"ema": 1.0}}, "config.optimizer.ema"),
        ({"optimizer": {"ema_scope": "none"}}, "config.optimizer.ema_scope"),
        ({"table": {"rows": -1}}, "config.table.rows"),
        ({"table": {"lr": -1.0}}, "config.table.lr"),
        ({"table": {"weight_decay": -1.0}}, "config.table.weight_decay"),
        ({"model": {"layers": 0}}, "config.model.layers"),
        ({"model": {"y_layers": -1}}, "config.model.y_layers"),
        ({"model": {"halt_exploration": 1.1}}, r"config.model.halt_exploration .* in \[0, 1\]"),
        ({"model": {"damping": 1.0}}, r"config.model.damping .* in \[0, 1\)"),
        ({"model": {"dtype": "int8"}}, "config.model.dtype .* 'bfloat16', 'float32', 'float64'"),
        ({"loss": {"kind": "hinge"}}, "config.loss.kind .* 'stablemax', 'softmax'"),
        ({"loss": {"label_smoothing": 1.0}}, "config.loss.label_smoothing"),
        ({"accumulate": 0}, "config.accumulate"),
        ({"chains": 0}, "config.chains"),
        ({"seed": 2**31}, r"config.seed is 2147483648; it must be in \[0, 2147483647\]"),
    ],
)
def test_bad_values_are_refused_by_name(config, key):
    with pytest.raises(UserError, match=key):
        from_dict(config)


def test_an_integer_may_stand_for_a_float():
    assert from_dict({"optimizer": {"weight_decay": 1}}).optimizer.weight_decay == 1


def test_evaluations_fall_on_checkpoints():
    with pytest.raises(UserError, match=r"config\.eval_every is 150, .*checkpoint_every"):
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
        (3, "config is 3; it must be a group"),
        ({"optimizer": 3}, "config.optimizer is 3; it must be a group"),
        ({"model": None}, "config.model is None"),
        ({"data": 3}, "config.data is 3"),
        ({"data": {"maze": 3}}, "config.data.maze is 3"),
        ({"data": {"box": [2, 2], "sudoku": 3}}, "config.data.sudoku is 3"),
        ({"model": {"expansion": 0.0}}, "config.model.expansion is 0.0; it must be in"),
        (
            {"optimizer": {"lr": float("nan")}},
            "config.optimizer.lr is nan; it must be finite and in",
        ),
        ({"optimizer": {"lr": float("inf")}}, "config.optimizer.lr is inf"),
        ({"optimizer": {"lr_min_ratio": -1.0}}, "config.optimizer.lr_min_ratio is -1.0"),
        ({"table": {"lr": float("nan")}}, "config.table.lr is nan"),
        ({"eval_every": -1000}, "config.eval_every is -1000"),
        ({"eval_batch_size": 0}, "config.eval_batch_size is 0"),
        ({"seed": -1}, "config.seed is -1"),
        ({"data": {"seed": -1}}, "config.data.seed is -1"),
        ({"data": {"seed": 2**31}}, "config.data.seed is 2147483648"),
        ({"steps": 2**31}, "config.steps is 2147483648; .* 1000000000"),
        ({"data": {"sudoku": {"box": 3}}}, r"config.data.sudoku.box is 3; .* tuple\[int, int\]"),
        ({"data": {"sudoku": {"box": [3]}}}, r"config.data.sudoku.box is \(3,\)"),
        (
            {"data": {"sudoku": {"box": [3, 0]}}},
            r"config.data.sudoku.box is \(3, 0\).* in \[2, 12\]",
        ),
        ({"data": {"base_examples": -1}}, "config.data.base_examples is -1"),
        ({"data": {"copies": -1}}, "config.data.copies is -1"),
        ({"data": {"task": "chess"}}, "config.data.task is 'chess'; .* sudoku, maze, arc.*plugin"),
        ({"data": {"task": 3}}, "config.data.task is 3"),
        ({"data": {"arc": {"side": 31}}}, r"config.data.arc.side is 31; it must be in \[1, 30\]"),
        ({"mesh": {"data": -1}}, "config.mesh.data is -1"),
        ({"plugins": "latin.py"}, "config.plugins is 'latin.py'"),
        ({"curriculum": [[0.0, 1]]}, "config.curriculum"),
        ({"curriculum": [[0.1, 1, 1]]}, "config.curriculum .* rising from 0"),
    ],
)
def test_senseless_values_are_refused(config, named):
    with pytest.raises(UserError, match=named):
        from_dict(config)


def test_settings_of_an_unchosen_task_are_checked_and_dropped():
    plain = from_dict({})
    assert from_dict({"data": {"maze": {"side": 9}}}) == plain
    with pytest.raises(UserError, match=r"config\.data\.maze\.side is 0"):
        from_dict({"data": {"maze": {"side": 0}}})
    assert from_dict({"data": {"task": "maze", "maze": {"side": 9}}}).data.options.side == 9


def test_a_config_of_a_task_holds_its_settings_alone():
    for task, group in (("sudoku", {"box", "extra_givens"}), ("arc", {"subsets", "test_subset"})):
        data = from_dict({"data": {"task": task}}).to_dict()["data"]
        groups = {key for key, value in data.items() if isinstance(value, dict)}
        assert groups == {task} and group <= data[task].keys()


OLD = {
    "sudoku": (
        {"box": [2, 3], "extra_givens": 5, "maze": {"side": 30}, "arc": {"test": "evaluation"}},
        {"box": (2, 3), "extra_givens": 5},
    ),
    "maze": (
        {"box": [3, 3], "extra_givens": 0, "maze": {"side": 7, "kind": "perfect"}},
        {"side": 7, "kind": "perfect"},
    ),
    "arc": (
        {
            "box": [3, 3],
            "extra_givens": 0,
            "arc": {"subsets": "training,x", "test": "x", "strict": True, "side": 8},
        },
        {"subsets": "training,x", "test_subset": "x", "strict": True, "side": 8},
    ),
}
"""Groups `data` of a config.json as earlier versions wrote it, and what they mean now."""


@pytest.mark.parametrize("task", OLD)
def test_configs_of_earlier_versions_are_read(task):
    old, options = OLD[task]
    text = json.dumps({"name": "old", "data": {"task": task, "path": "p", "copies": 7, **old}})
    experiment = from_dict(json.loads(text))
    assert (experiment.data.task, experiment.data.path, experiment.data.copies) == (task, "p", 7)
    assert options.items() <= vars(experiment.data.options).items()
    assert from_dict(json.loads(json.dumps(experiment.to_dict()))) == experiment


def test_old_and_new_names_may_not_contradict_each_other():
    both = {"data": {"box": [2, 3], "sudoku": {"box": (2, 3)}}}
    assert from_dict(both).data.options.box == (2, 3)
    both["data"]["sudoku"]["box"] = (3, 3)
    with pytest.raises(
        UserError, match=r"config\.data\.box is \[2, 3\].*config\.data\.sudoku\.box"
    ):
        from_dict(both)
    assert both["data"]["box"] == [2, 3], "the config itself has changed"


def test_some_settings_are_replaced_by_their_dotted_names():
    before = from_dict({})
    after = before.change({"model.remat": "block", "accumulate": 2, "model.T": 1})
    assert (after.model.remat, after.accumulate, after.model.T) == ("block", 2, 1)
    assert after.change({"model.remat": "none", "accumulate": 1, "model.T": 3}) == before
    with pytest.raises(UserError, match=r"config\.model\.remat is 'all'"):
        before.change({"model.remat": "all"})
