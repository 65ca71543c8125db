"""Settings as dataclasses: what each may be, how groups nest, and what is said of a wrong one."""

import dataclasses
import json
from typing import ClassVar

import pytest

from trm_jax.core.errors import UserError
from trm_jax.core.settings import (
    Rule,
    Settings,
    flat_names,
    group,
    matches,
    nearest,
    setting,
    tuples,
    type_name,
    unknown,
)


@dataclasses.dataclass(frozen=True)
class Oven(Settings):
    """How it is baked."""

    GROUP: ClassVar[str] = "config.oven"

    degrees: float = setting(180.0, "Heat.", low=0, high=300)
    fan: bool = setting(False, "Whether air moves.")
    racks: tuple[int, ...] = setting((1,), "Where trays go.", low=1, high=4)
    stages: tuple[tuple[float, int], ...] = setting((), "Share of time, heat.", low=0)


BAKING = group(Oven, "How it is baked.")


@dataclasses.dataclass(frozen=True)
class Cake(Settings):
    """What is baked."""

    name: str = setting("sponge", "What it is called.")
    eggs: int = setting(3, "How many.", low=1)
    size: tuple[int, int] = setting((20, 30), "Of the tin.", above=0)
    flour: str = setting("wheat", "Kind of flour.", choices=("wheat", "rye"))
    sugar: float = setting(0.5, "Share.", above=0, below=1)
    weight: int | float = setting(1, "In kilograms.", below=10)
    oven: Oven = BAKING


def refusal(action, *arguments, **settings):
    with pytest.raises(UserError) as error:
        action(*arguments, **settings)
    return str(error.value)


@pytest.mark.parametrize(
    ("limits", "words", "inside", "outside"),
    [
        ({"low": 1}, "1 or more", [1, 2, 1e9], [0, -1, 0.999]),
        ({"above": 0}, "above 0", [1e-9, 1], [0, -1e-9]),
        ({"high": 1}, "1 or less", [1, -1e9], [1.001]),
        ({"below": 1}, "below 1", [0.999, -1e9], [1]),
        ({"low": 0, "high": 1}, "in [0, 1]", [0, 0.5, 1], [-0.1, 1.1]),
        ({"low": 0, "below": 1}, "in [0, 1)", [0, 0.999], [1]),
        ({"above": 0, "high": 1}, "in (0, 1]", [0.001, 1], [0]),
        ({"above": 0, "below": 1}, "in (0, 1)", [0.5], [0, 1]),
        ({"low": 0.5, "high": 2**31 - 1}, "in [0.5, 2147483647]", [2147483647], [2147483648]),
        ({}, "", [-1e9, 0, 7, True], []),
    ],
)
def test_ranges_are_said_and_kept(limits, words, inside, outside):
    rule = Rule("What it is.", **limits)
    assert rule.range() == words
    assert all(map(rule.allows, inside)) and not any(map(rule.allows, outside))
    assert rule.allows(tuple(inside)) and rule.allows((tuple(inside), ()))
    for wrong in outside:
        assert not rule.allows((*inside, wrong)) and not rule.allows(((wrong,),))


def test_choices_are_said_and_kept():
    rule = Rule("What it is.", choices=("a", 2, (3, 4)))
    assert rule.range() == "one of 'a', 2, (3, 4)"
    assert all(map(rule.allows, ("a", 2, (3, 4))))
    assert not any(map(rule.allows, ("b", 3, ("a",), (3,))))


def test_texts_and_flags_have_no_range():
    assert Rule("What it is.").allows("text") and Rule("What it is.", low=1).allows("text")
    assert Rule("What it is.").allows(False)


def test_no_range_has_nan_or_infinity():
    for limits in ({}, {"low": 0}, {"above": 0}, {"high": 1}, {"low": 0, "high": 1}):
        for value in (float("nan"), float("inf"), -float("inf")):
            assert not Rule("What it is.", **limits).allows(value)
            assert not Rule("What it is.", **limits).allows((0.5, value))


@pytest.mark.parametrize(
    ("kind", "name", "right", "wrong"),
    [
        (int, "int", [0, -3], [0.0, True, "0", None]),
        (float, "float", [0.5, 3], [True, "0.5", None]),
        (bool, "bool", [True, False], [0, 1, "True"]),
        (str, "str", ["", "x"], [0, None]),
        (tuple[int, int], "tuple[int, int]", [(1, 2)], [(1,), (1, 2, 3), (1, 2.0), [1, 2], 1]),
        (tuple[str, ...], "tuple[str, ...]", [(), ("a",), ("a", "b")], [("a", 1), "a", ["a"]]),
        (
            tuple[tuple[float, int], ...],
            "tuple[tuple[float, int], ...]",
            [(), ((0, 1), (0.5, 2))],
            [((0, 0.5),), (0, 1), ((0, 1, 2),)],
        ),
        (int | float, "int | float", [1, 0.5], [True, "1"]),
    ],
)
def test_types(kind, name, right, wrong):
    assert type_name(kind) == name
    assert all(matches(value, kind) for value in right)
    assert not any(matches(value, kind) for value in wrong)


def test_lists_stand_for_tuples_at_any_depth():
    assert tuples([1, [2, (3, [4])], "ab"]) == (1, (2, (3, (4,))), "ab")
    cake = Cake.read({"size": [1, 2], "oven": {"racks": [2, 3], "stages": [[0, 90], [0.5, 200]]}})
    assert cake.size == (1, 2)
    assert (cake.oven.racks, cake.oven.stages) == ((2, 3), ((0, 90), (0.5, 200)))


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"eggs": 0}, "config.eggs is 0; it must be 1 or more."),
        ({"eggs": 2.5}, "config.eggs is 2.5; it must be of type int."),
        ({"eggs": None}, "config.eggs is None; it must be of type int."),
        ({"size": (20, 0)}, "config.size is (20, 0); it must be above 0."),
        ({"size": 20}, "config.size is 20; it must be of type tuple[int, int], such as (3, 3)."),
        ({"flour": "oat"}, "config.flour is 'oat'; it must be one of 'wheat', 'rye'."),
        ({"sugar": 1}, "config.sugar is 1; it must be in (0, 1)."),
        ({"weight": float("nan")}, "config.weight is nan; it must be finite and below 10."),
        (
            {"eggs": 2**31},
            "config.eggs is 2147483648; it must be 2147483647 or less, to fit into 32 bits.",
        ),
        ({"weight": float("-inf")}, "config.weight is -inf; it must be finite and below 10."),
        (
            {"oven": {"degrees": 10**400}},
            f"config.oven.degrees is 1{'0' * 119}...; it must be finite and in [0, 300].",
        ),
        ({"oven": {"degrees": 301}}, "config.oven.degrees is 301; it must be in [0, 300]."),
        ({"oven": {"racks": (1, 5)}}, "config.oven.racks is (1, 5); it must be in [1, 4]."),
        ({"oven": 180}, "config.oven is 180; it must be a group of settings."),
        ("cake", "config is 'cake'; it must be a group of settings."),
        ({"egs": 3}, "config.egs is not a setting; did you mean config.eggs?"),
        ({"degrees": 3}, "config.degrees is not a setting; did you mean config.oven.degrees?"),
        ({"oven": {"eggs": 3}}, "config.oven.eggs is not a setting; did you mean config.eggs?"),
        (
            {"icing": 3},
            "config.icing is not a setting; docs/reference/settings.md lists all of them.",
        ),
    ],
)
def test_a_wrong_setting_is_named_with_its_value_and_what_is_right(values, sentence):
    assert refusal(Cake.read, values) == sentence


def test_settings_are_checked_however_they_are_made():
    assert "config.eggs is 0" in refusal(Cake, eggs=0)
    assert "config.oven.degrees is 400" in refusal(Oven, degrees=400)
    assert "config.eggs is 0" in refusal(dataclasses.replace, Cake(), eggs=0)
    assert "config.oven is None" in refusal(Cake, oven=None)
    with pytest.raises(dataclasses.FrozenInstanceError):
        Cake().eggs = 4


def test_what_is_not_given_has_its_default_and_all_of_it_comes_back():
    assert Cake.read({}) == Cake() == Cake.read({"oven": {}})
    cake = Cake.read({"eggs": 4, "oven": {"fan": True}})
    assert cake == Cake(eggs=4, oven=Oven(fan=True))
    plain = cake.to_dict()
    assert plain["oven"] == {"degrees": 180.0, "fan": True, "racks": (1,), "stages": ()}
    assert Cake.read(json.loads(json.dumps(plain))) == cake
    assert Cake.read(plain).to_dict() == plain


def test_reading_leaves_what_it_reads_as_it_is():
    values = {"oven": {"racks": [1]}}
    Cake.read(values)
    assert values == {"oven": {"racks": [1]}}


def test_names_are_those_of_all_settings_of_all_groups():
    assert list(flat_names(Cake)) == [
        *(f"config.{name}" for name in ("name", "eggs", "size", "flour", "sugar", "weight")),
        *(f"config.oven.{name}" for name in ("degrees", "fan", "racks", "stages")),
    ]


KNOWN = [
    "config.steps",
    "config.eval_every",
    "config.log_every",
    "config.model.T",
    "config.model.layers",
    "config.model.y_layers",
    "config.optimizer.lr",
    "config.optimizer.weight_decay",
    "config.table.lr",
    "config.table.weight_decay",
]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("config.lr", ["config.optimizer.lr", "config.table.lr"]),
        ("config.model.lr", ["config.optimizer.lr", "config.table.lr"]),
        ("config.optimiser.lr", ["config.optimizer.lr", "config.table.lr"]),
        ("config.stepz", ["config.steps"]),
        ("config.model.steps", ["config.steps"]),
        ("config.model.t", ["config.model.T"]),
        ("config.table.weigth_decay", ["config.table.weight_decay"]),
        ("config.weight_deacy", ["config.optimizer.weight_decay", "config.table.weight_decay"]),
        ("config.model.lyers", ["config.model.layers", "config.model.y_layers"]),
        ("config.optimiser", ["config.optimizer"]),
        ("config.modell", ["config.model"]),
        ("config.model.dropout", []),
        ("config.xyzzy", []),
        ("config.model.layers.x", ["config.model.layers"]),
        ("config.model_layers", ["config.model.layers"]),
        ("config.table.weight-decay", ["config.table.weight_decay"]),
        ("config.model.layers[0]", ["config.model.layers"]),
    ],
)
def test_the_nearest_names_are_suggested(name, found):
    assert nearest(name, KNOWN) == found
    sentence = str(unknown(name, KNOWN))
    assert sentence.startswith(f"{name} is not a setting; ")
    assert sentence.endswith(f"did you mean {' or '.join(found)}?" if found else "all of them.")


def test_few_are_suggested():
    many = [f"config.{letter}.lr" for letter in "abcdef"]
    assert nearest("config.lr", many) == many[:3] and nearest("config.lr", many, 1) == many[:1]
