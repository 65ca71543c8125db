"""Objects by name, and the plugins that bring more of them."""

import importlib.metadata
import sys
from types import ModuleType, SimpleNamespace

import pytest

from trm_jax.core import registry as module
from trm_jax.core.errors import UserError
from trm_jax.core.registry import ENTRY_POINTS, Registry, load_installed, load_plugins, located

PLUGIN = """
import shelf
shelf.times.append(__name__)
shelf.REGISTRY.register("spoon", "made of wood")
"""


@pytest.fixture
def shelf(monkeypatch):
    """A registry as plugins import it, and how often one was run."""
    found = ModuleType("shelf")
    found.REGISTRY, found.times = Registry("config.spoon", "spoons"), []
    found.REGISTRY.register("fork", "made of steel")
    monkeypatch.setitem(sys.modules, "shelf", found)
    before = set(sys.modules)
    yield found
    for name in set(sys.modules) - before:
        if name.startswith(("trm_plugin_", "kitchen", "spoons")):
            del sys.modules[name]


@pytest.fixture
def installed(monkeypatch):
    """Sets which plugins are installed as packages."""
    plugins = []

    def entry_points(*, group):
        assert group == ENTRY_POINTS
        return [SimpleNamespace(value=value) for value in plugins]

    monkeypatch.setattr(importlib.metadata, "entry_points", entry_points)
    load_installed.cache_clear()
    yield plugins
    load_installed.cache_clear()


def refusal(action, *arguments):
    """The one sentence with which something is refused."""
    with pytest.raises(UserError) as error:
        action(*arguments)
    sentence = str(error.value)
    assert "\n" not in sentence and sentence.endswith(".")
    return sentence


def test_objects_are_found_by_their_names(shelf, installed):
    assert shelf.REGISTRY.get("fork") == "made of steel"
    assert shelf.REGISTRY.all() == {"fork": "made of steel"}
    shelf.REGISTRY.all()["knife"] = "nobody's"
    assert list(shelf.REGISTRY.all()) == ["fork"]
    assert shelf.REGISTRY.register("knife", "sharp") == "sharp"


def test_unknown_names_are_refused_with_the_known_ones(shelf, installed):
    shelf.REGISTRY.register("knife", "sharp")
    sentence = refusal(shelf.REGISTRY.get, "ladle")
    assert "config.spoon is 'ladle'" in sentence and "spoons are fork, knife" in sentence
    assert "--plugin" in sentence


def test_a_name_is_given_once(shelf):
    sentence = refusal(shelf.REGISTRY.register, "fork", "another")
    assert "two spoons are named 'fork'" in sentence
    assert shelf.REGISTRY.get("fork") == "made of steel"


def test_a_plugin_is_a_file_which_is_run_once_however_it_is_named(shelf, tmp_path, monkeypatch):
    (tmp_path / "deep").mkdir()
    file = tmp_path / "spoons.py"
    file.write_text(PLUGIN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    load_plugins([str(file), "spoons.py", "deep/../spoons.py"])
    load_plugins(["~/spoons.py"])
    assert shelf.REGISTRY.get("spoon") == "made of wood"
    assert len(shelf.times) == 1 and "spoons" not in sys.modules


def test_files_of_one_name_are_two_plugins(shelf, tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        text = PLUGIN.replace('"spoon"', f'"spoon {name}"')
        (tmp_path / name / "spoons.py").write_text(text)
    load_plugins([str(tmp_path / "a/spoons.py"), str(tmp_path / "b/spoons.py")])
    assert list(shelf.REGISTRY.all()) == ["fork", "spoon a", "spoon b"]


def test_a_plugin_is_a_module_which_is_run_once(shelf, tmp_path, monkeypatch):
    (tmp_path / "kitchen").mkdir()
    (tmp_path / "kitchen/__init__.py").touch()
    (tmp_path / "kitchen/spoons.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(tmp_path)
    load_plugins(["kitchen.spoons", "kitchen.spoons"])
    load_plugins(["kitchen.spoons"])
    assert shelf.REGISTRY.get("spoon") == "made of wood"
    assert shelf.times == ["kitchen.spoons"]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("1 / 0", "ZeroDivisionError"),
        ("import nothing_of_the_kind", "nothing_of_the_kind"),
        ("def (", "SyntaxError"),
        ("raise ValueError('several\\nlines')", "(ValueError: several lines)"),
        ("raise ValueError", "(ValueError)"),
        ("raise SystemExit(0)", "(SystemExit: 0)"),
        (PLUGIN.replace("spoon", "fork"), "two spoons are named 'fork'"),
    ],
)
def test_a_plugin_that_fails_is_named_in_one_sentence(shelf, tmp_path, text, named):
    file = tmp_path / "wrong.py"
    file.write_text(text)
    sentence = refusal(load_plugins, [str(file)])
    assert named in sentence and f"plugin {file}" in sentence


def test_a_plugin_that_failed_is_run_again_when_it_is_mended(shelf, tmp_path):
    file = tmp_path / "spoons.py"
    file.write_text(f"{PLUGIN.splitlines()[1]}\nwrong")
    refusal(load_plugins, [str(file)])
    file.write_text(f"# mended\n{PLUGIN}")
    load_plugins([str(file)])
    assert shelf.REGISTRY.get("spoon") == "made of wood"


@pytest.mark.parametrize("plugin", ["nowhere/spoons.py", "no.such.module", ".", "", "a/b", "x-y"])
def test_a_plugin_that_is_not_there_is_named(plugin):
    sentence = refusal(load_plugins, [plugin])
    assert sentence.startswith(f"plugin {plugin}") and (
        "the name of a file ends in .py" in sentence or plugin.endswith(".py")
    )


@pytest.mark.parametrize("name", ["deep/spoons", "spoons_lie_here"])
def test_a_file_without_its_ending_is_pointed_at(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "deep").mkdir()
    (tmp_path / f"{name}.py").touch()
    assert f"there is a file {name}.py" in refusal(load_plugins, [name])


def test_names_of_plugins_are_text():
    assert "plugin 3 is no name" in refusal(load_plugins, [3])


@pytest.mark.parametrize("file_first", [True, False])
def test_a_file_and_a_module_are_one_plugin(shelf, tmp_path, monkeypatch, file_first):
    file = tmp_path / "spoons.py"
    file.write_text(PLUGIN)
    monkeypatch.syspath_prepend(tmp_path)
    load_plugins([str(file), "spoons"][:: 1 if file_first else -1])
    assert len(shelf.times) == 1


def test_a_plugin_that_registers_nothing_is_named_once(shelf, tmp_path, capsys):
    (tmp_path / "spoons.py").write_text(PLUGIN)
    (tmp_path / "empty.py").touch()
    for _ in range(2):
        load_plugins([str(tmp_path / "spoons.py"), str(tmp_path / "empty.py")])
    said = capsys.readouterr().err
    assert said.startswith(f"trm: plugin {tmp_path / 'empty.py'} registers nothing")
    assert said.count("\n") == 1


class Tool:
    """What a registry of tools holds."""

    handle: str
    length: int = 3


class Ladle(Tool):
    """One that is complete."""

    handle = "wood"


@pytest.mark.parametrize(
    ("item", "named"),
    [
        (Tool(), "'ladle' has no attribute 'handle'; give Tool one"),
        (SimpleNamespace(handle="wood"), "is a SimpleNamespace, not a Tool; derive its class"),
        (Ladle, r"is the class Ladle; register Ladle()"),
    ],
)
def test_what_is_of_another_kind_is_refused(item, named):
    tools = Registry("config.tool", "tools", Tool)
    assert named in refusal(tools.register, "ladle", item)
    tools.register("ladle", Ladle())


def test_files_are_located_once_and_for_all(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "deep").mkdir()
    for name in ("deep/a.py", "a.py", "b.py"):
        (tmp_path / name).touch()
    assert located("a.py") == str(tmp_path / "a.py")
    assert located("a.py", tmp_path / "deep") == str(tmp_path / "deep/a.py")
    assert located("../a.py", tmp_path / "deep") == str(tmp_path / "a.py")
    assert located("b.py", tmp_path / "deep") == str(tmp_path / "b.py")
    for name in ("nowhere.py", "some.module", "deep"):
        assert located(name, tmp_path) == name


def test_installed_plugins_are_looked_at_when_a_name_is_not_known(
    shelf, installed, tmp_path, monkeypatch
):
    (tmp_path / "spoons.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(tmp_path)
    installed.append("spoons:anything")
    assert shelf.REGISTRY.get("fork") and not shelf.times, "loaded though nobody needs it"
    assert shelf.REGISTRY.get("spoon") == "made of wood"
    assert list(shelf.REGISTRY.all()) == ["fork", "spoon"] and shelf.times == ["spoons"]
    refusal(shelf.REGISTRY.get, "ladle")
    assert shelf.times == ["spoons"]


def test_an_installed_plugin_that_fails_is_named(shelf, installed):
    installed.append("no_such_plugin")
    for action in (shelf.REGISTRY.all, lambda: shelf.REGISTRY.get("ladle"), module.load_installed):
        assert "no_such_plugin" in refusal(action)
