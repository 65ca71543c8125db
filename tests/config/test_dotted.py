"""Settings by their dotted names: setting some, and telling experiments apart."""

import pytest

from trm_jax.config.dotted import (
    FREE,
    flat,
    identity,
    known_name,
    known_names,
    refuse_other_tasks,
    with_overrides,
)
from trm_jax.config.experiment import Experiment, from_dict
from trm_jax.core.errors import UserError


def test_names_are_as_settings_are_called_now():
    for name in Experiment.all_names():
        assert known_name(name.removeprefix("config.")) == name.removeprefix("config.")
    assert known_name("data.box") == "data.sudoku.box"
    assert known_name("data.extra_givens") == "data.sudoku.extra_givens"
    assert known_name("data.arc.test") == "data.arc.test_subset"
    for name in ("lr", "model", "data.chess.side", "config.steps"):
        with pytest.raises(UserError, match=f"config.{name} is "):
            known_name(name)


def test_overrides_make_a_new_config_and_leave_the_old_one():
    base = {"model": {"T": 1}, "data": {"task": "sudoku"}}
    changes = {"model.T": 2, "optimizer.lr": 0.1, "data.box": (2, 2), "steps": 5}
    assert with_overrides(base, changes) == {
        "model": {"T": 2},
        "data": {"task": "sudoku", "sudoku": {"box": (2, 2)}},
        "optimizer": {"lr": 0.1},
        "steps": 5,
    }
    assert base == {"model": {"T": 1}, "data": {"task": "sudoku"}}


def test_a_setting_has_one_value_by_its_old_name_and_its_new_one():
    both = {"data.box": [2, 3], "data.sudoku.box": (2, 3)}
    assert known_names(both) == {"data.sudoku.box": [2, 3]}
    sentence = (
        r"config\.data\.box is \(2, 2\) and config\.data\.sudoku\.box, .* now, is \[2, 3\]; l"
    )
    for names in (["data.box", "data.sudoku.box"], ["data.sudoku.box", "data.box"]):
        overrides = {n: (2, 2) if n == "data.box" else [2, 3] for n in names}
        for action in (lambda o: with_overrides({}, o), known_names):
            with pytest.raises(UserError, match=sentence):
                action(overrides)


def test_overrides_of_another_task_are_refused():
    with pytest.raises(UserError, match=r"config\.data\.maze\.side .*'maze'.* is 'sudoku'; leave"):
        with_overrides({}, {"data.maze.side": 7})
    changed = with_overrides({}, {"data.maze.side": 7, "data.task": "maze"})
    assert from_dict(changed).data.options.side == 7
    with pytest.raises(UserError, match=r"config\.data\.sudoku\.box .*'sudoku'.* is 'maze'"):
        refuse_other_tasks("maze", ["steps", "data.copies", "data.box"])
    refuse_other_tasks("arc", ["data.arc.side", "data.path", "model.T", "data.task"])


def test_nested_and_dotted_say_the_same():
    config = Experiment().to_dict()
    names = flat(config)
    assert names["model.T"] == 3 and names["data.sudoku.box"] == (3, 3) and names["steps"] > 0
    assert with_overrides({}, names) == config


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("seed", 1),
        ("model.T", 1),
        ("optimizer.lr", 0.5),
        ("data.seed", 1),
        ("data.sudoku.box", (2, 2)),
        ("table.rows", 5),
        ("init_from", "runs/x"),
    ],
)
def test_most_settings_make_another_experiment(name, value):
    one, other = from_dict({}), from_dict(with_overrides({}, {name: value}))
    changed = {key for key, v in identity(one).items() if identity(other)[key] != v}
    assert changed == {name}


def test_some_settings_may_change_on_the_way():
    assert {f"config.{name}" for name in FREE} <= set(Experiment.all_names())
    assert not FREE & identity(from_dict({})).keys()
    changes = {"steps": 99, "accumulate": 2, "data.path": "moved", "mesh.data": 2, "plugins": ()}
    assert identity(from_dict(with_overrides({}, changes))) == identity(from_dict({}))
