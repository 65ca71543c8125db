"""Config files: found by their paths, or by the names of those that come with the package."""

import re

import pytest

from tests import runs
from trm_jax.config import locate
from trm_jax.config.dotted import flat
from trm_jax.config.experiment import Experiment, from_dict
from trm_jax.core.errors import UserError
from trm_jax.tasks.task import TASKS

EXPERIMENTS = runs.ROOT / "experiments"
PLAIN = "def get_config(variant='none'):\n    return {'name': variant}\n"


def refusal(action, *arguments):
    with pytest.raises(UserError) as error:
        action(*arguments)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_file_that_is_there_is_taken_and_else_one_of_the_package(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("sudoku", "sudoku.py", "experiments/sudoku.py", "./experiments/sudoku.py"):
        assert locate.find(name).samefile(EXPERIMENTS / "sudoku.py"), name
    assert locate.find("ablations", "sweep").samefile(EXPERIMENTS / "ablations.py")
    (tmp_path / "sudoku.py").write_text(PLAIN)
    assert locate.find("sudoku.py").samefile(tmp_path / "sudoku.py")
    assert locate.find(str(tmp_path / "sudoku.py")).samefile(tmp_path / "sudoku.py")


def test_short_names_take_variants():
    assert locate.load("sudoku:six")["name"] == "sudoku_six"
    assert locate.load("sudoku_hard:fast")["name"] == "sudoku_hard_fast"
    assert locate.load("sudoku") == locate.load("sudoku:demo") != locate.load("sudoku:quick")


@pytest.mark.parametrize(
    "name",
    ["suduko", "elsewhere/sudoku.py", "sudoku.txt/x.py", "sudoku.txt", "/no/experiments/sudoku.py"],
)
def test_unknown_names_list_what_there_is(name):
    assert refusal(locate.find, name).endswith(
        "one of arc, futoshiki, grid, gym, lattice, maze, numberlink, sudoku, sudoku_hard."
    )
    sweeps = refusal(locate.find, name, "sweep")
    assert sweeps.startswith(f"sweep file {name} is not there")
    assert sweeps.endswith("one of ablations, lattice_ablations, recipes, time_to_accuracy.")


@pytest.mark.parametrize("name", ["", ":demo"])
def test_the_name_of_no_file_is_no_blank_in_a_sentence(name):
    assert refusal(locate.load, name).startswith("--config names no file; give a path, or one of ")


def test_unknown_variants_list_those_of_the_file():
    sentence = refusal(locate.load, "sudoku:nine")
    assert "sudoku.py" in sentence and "'nine'" in sentence
    assert all(variant in sentence for variant in runs.VARIANTS["sudoku"])


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("x = 1", "defines no get_config"),
        ("1 / 0", "division by zero"),
        ("import nothing_of_the_kind", "nothing_of_the_kind"),
        ("def (", "invalid syntax"),
        ("def get_config(): raise ValueError", "ValueError"),
        ("def get_config(): raise ValueError('a\\nb')", "cannot be loaded: b"),
        ("def get_config(): return 3", "returns a int; return a ConfigDict"),
        ("def get_config(): return {'plugins': ('nowhere.py',)}", "plugin nowhere.py"),
        ("import sys; sys.exit(0)", r"cannot be loaded: it ends the program by sys.exit\(0\)"),
        ("def get_config(): raise SystemExit('no')", r"ends the program by sys.exit\('no'\)"),
        ("def get_config(): return {5: 3}", "config has a setting named 5; names are strings"),
        ("def get_config(): return {'data': {5: 3}}", "config.data has a setting named 5"),
        ("def get_config(): return {'model.T': 3}", "config has a setting named 'model.T'"),
        ("def get_config(): return {'plugins': (3,)}", "config.plugins is .3,.; give a tuple of"),
        (
            "def get_config(): return {'data': {'maze': {'side': 9}}}",
            r"mine.py: config.data.maze.side is a setting of the task 'maze', and .* 'sudoku'",
        ),
        ("def get_config(): return {'plugins': 'task.py'}", "config.plugins is 'task.py'; .*tuple"),
        (
            "def get_config(): return {'data': {'box': (2, 2), 'sudoku': {'box': (3, 3)}}}",
            "config.data.box",
        ),
    ],
)
def test_files_that_give_no_config_are_refused(tmp_path, text, named):
    path = tmp_path / "mine.py"
    path.write_text(text)
    assert re.search(named, refusal(locate.load, str(path)))


def test_a_plain_dictionary_will_do(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(PLAIN)
    assert locate.load(f"{path}:a") == {"name": "a"} and locate.load(str(path)) == {"name": "none"}


def test_a_file_may_import_what_lies_beside_it(tmp_path):
    (tmp_path / "beside_mine.py").write_text("NAME = 'beside'")
    path = tmp_path / "mine.py"
    path.write_text("import beside_mine\ndef get_config(): return {'name': beside_mine.NAME}")
    assert locate.load(str(path)) == {"name": "beside"}


def test_what_is_loaded_is_the_callers_own():
    one = locate.load("sudoku:demo")
    one["model"]["T"] = 99
    assert locate.load("sudoku:demo")["model"]["T"] != 99


def test_old_names_in_files_are_read(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "def get_config(variant): return {'s': {'data': {'box': (2, 3)}}, "
        "'a': {'data': {'task': 'arc', 'arc': {'test': 'x'}}}}[variant]"
    )
    assert locate.load(f"{path}:s") == {"data": {"sudoku": {"box": (2, 3)}}}
    assert locate.load(f"{path}:a") == {"data": {"task": "arc", "arc": {"test_subset": "x"}}}


def test_plugins_are_found_beside_the_file_and_known_by_their_whole_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "deep").mkdir()
    (tmp_path / "plugin_of_mine.py").touch()
    text = "def get_config(): return {'plugins': ['../plugin_of_mine.py', 'plugin_of_mine.py']}"
    (tmp_path / "deep/mine.py").write_text(text)
    assert locate.load("deep/mine.py") == {"plugins": (str(tmp_path / "plugin_of_mine.py"),)}


def test_a_group_is_no_value():
    with pytest.raises(UserError, match=r"config\.model is 3; it must be a group of settings"):
        locate.filled({"model": 3})
    with pytest.raises(UserError, match=r"config\.data\.maze is None; it must be a group"):
        locate.filled({"data": {"maze": None}})


def test_filled_in_there_is_every_setting():
    given = {"model": {"T": 1}, "data": {"sudoku": {"box": [2, 3]}}, "optimizer": {"lr": 1}}
    config = locate.filled(given)
    names = {f"config.{name}" for name in flat(config)}
    assert names == set(Experiment.all_names()) and set(TASKS.all()) <= config["data"].keys()
    assert from_dict(config) == from_dict(given)
    # of the types by which the command line reads what replaces them
    assert config["data"]["sudoku"]["box"] == (2, 3) and type(config["optimizer"]["lr"]) is float
    assert given == {"model": {"T": 1}, "data": {"sudoku": {"box": [2, 3]}}, "optimizer": {"lr": 1}}


def test_what_is_no_setting_is_not_lost_on_the_way():
    """So it is refused by name when the config is read."""
    assert locate.filled({"model": {"widht": 3}, "x": 1})["model"]["widht"] == 3
    with pytest.raises(UserError, match=r"config\.model\.widht"):
        from_dict(locate.filled({"model": {"widht": 3}}))
