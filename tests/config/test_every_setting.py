"""Every setting there is, with values that nobody should give: one sentence each, and at once."""

import math
import time

import pytest

from tests import runs
from trm_jax.config.experiment import Experiment, from_dict
from trm_jax.core.errors import UserError
from trm_jax.core.mesh import check_divides, make_mesh
from trm_jax.core.settings import LONGEST, is_group
from trm_jax.tasks.settings import DataConfig
from trm_jax.tasks.sources import json_copy
from trm_jax.tasks.task import TASKS

HUGE = 10**5000
NUMBERS = (0, -1, 0.5, 1e-300, 1e300, 10**6, 10**9, 10**12, 10**21, HUGE, -HUGE)
ODD = (math.nan, math.inf, -math.inf, None, True, b"x", {}, {"a": 1}, [], [[]], [1, "a"], object())
TEXTS = (
    "",
    " ",
    "x" * 10**6,
    "../..",
    "\0",
    "a\nb",
    "\ud800",
    "🧩",
    "$(true)",
    "nan",
    "1e400",
    "[",
)
BAD = (*NUMBERS, *ODD, *TEXTS, *((n, n) for n in (0, 10**9, HUGE)), ((0.0, 10**9, 1),))
MAX_SECONDS = 2.0


def groups():
    """Every group of settings as the keys that lead to it and its class."""
    found = [((), Experiment)]
    for path, kind in found:
        inner = [(name, each) for name, each, _ in kind.rules() if is_group(each)]
        found += [((*path, name), each) for name, each in inner if (*path, name) != path]
    return found + [(("data", name), task.settings) for name, task in TASKS.all().items()]


SETTINGS = [
    (*path, name) for path, kind in groups() for name, each, _ in kind.rules() if not is_group(each)
]


def checked(path, value):
    """What `train` checks before it builds anything, with one setting changed."""
    config = json_copy(runs.CONFIG)
    if path[0] == "data" and len(path) == 3:
        config["data"]["task"] = path[1]
    place = config
    for key in path[:-1]:
        place = place.setdefault(key, {})
    place[path[-1]] = value
    experiment = from_dict(config)
    mesh = make_mesh(experiment.mesh.data, experiment.mesh.table)
    check_divides(mesh, experiment.batch_size, experiment.accumulate)
    if shapes := TASKS.get(experiment.data.task).shapes(experiment.data.options):
        experiment.model_config(shapes)


def test_the_walk_sees_every_setting():
    names = {f"config.{'.'.join(path)}" for path in SETTINGS}
    assert names == set(Experiment.all_names())
    assert DataConfig.GROUP == "config.data"


@pytest.mark.parametrize("path", SETTINGS, ids=".".join)
def test_no_value_of_a_setting_gets_a_traceback_or_takes_long(path):
    for value in BAD:
        start = time.perf_counter()
        try:
            checked(path, value)
        except UserError as error:
            text = str(error)
            assert text.endswith((".", "?")) and "\n" not in text and len(text) < 1000, text
        assert time.perf_counter() - start < MAX_SECONDS, (path, type(value))


@pytest.mark.parametrize("path", SETTINGS, ids=".".join)
def test_numbers_are_bounded(path):
    """No setting that counts something takes 10^12, and none at all what a float cannot hold."""
    for value in (10**12, 10**21, HUGE, math.nan, math.inf, 1e300):
        with pytest.raises(UserError) as error:
            checked(path, value)
        assert path[-1] in str(error.value) or "data" in path


@pytest.mark.parametrize("kind", [list, dict])
def test_deep_configs_get_one_sentence(kind):
    deep = kind()
    for _ in range(100_000):
        deep = [deep] if kind is list else {"model": deep}
    for config in ({"model": deep}, {"curriculum": deep}, deep):
        with pytest.raises(UserError):
            from_dict(config)


def test_a_text_may_be_long_but_not_endless():
    assert from_dict({"name": "x" * LONGEST}).name
    with pytest.raises(UserError, match=r"config\.name has 4097 characters"):
        from_dict({"name": "x" * (LONGEST + 1)})
