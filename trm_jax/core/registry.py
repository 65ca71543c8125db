"""Registries of named objects, which plugins can extend.

A plugin is a Python file or module that registers tasks or mixers when it is imported. It is named
in `config.plugins`, with --plugin, or as an entry point of an installed package in the group
"trm_jax.plugins".
"""

import functools
import hashlib
import importlib
import importlib.metadata
import importlib.util
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar, Generic, TypeVar

from trm_jax.core.errors import UserError

ENTRY_POINTS = "trm_jax.plugins"

T = TypeVar("T")


class Registry(Generic[T]):
    """Objects by name; the error for an unknown name lists the known ones."""

    _registered: ClassVar[int] = 0  # number of objects in all registries

    def __init__(self, key: str, what: str, kind: type[T] | None = None) -> None:
        """Makes an empty registry.

        Args:
          key: setting that selects an object, for error messages: "config.data.task".
          what: plural noun for the objects, for error messages: "tasks".
          kind: class that objects must be instances of; they must have every attribute that it
            annotates. None accepts any object.
        """
        self._key, self._what, self._kind = key, what, kind
        self._found: dict[str, T] = {}

    def register(self, name: str, item: T) -> T:
        """Adds an object.

        Raises:
          UserError: the name is taken, or the object is not an instance of the registry's class.
        """
        if name in self._found:
            raise UserError(f"two {self._what} are named {name!r}; rename the plugin's.")
        self._check(name, item)
        self._found[name] = item
        Registry._registered += 1
        return item

    def _check(self, name: str, item: T) -> None:
        kind = self._kind
        if kind is None:
            return
        start = f"among the {self._what}, {name!r}"
        if isinstance(item, type):
            raise UserError(f"{start} is the class {item.__name__}; register {item.__name__}().")
        if not isinstance(item, kind):
            raise UserError(
                f"{start} is a {type(item).__name__}, not a {kind.__name__}; derive its class from "
                f"{kind.__module__}.{kind.__name__}."
            )
        for attribute in kind.__annotations__:
            if not hasattr(item, attribute):
                raise UserError(
                    f"{start} has no attribute {attribute!r}; give {type(item).__name__} one, as "
                    f"the docstring of {kind.__module__}.{kind.__name__} says."
                )

    def get(self, name: str) -> T:
        """Returns the object with a name, importing installed plugins if the name is unknown.

        Raises:
          UserError: no object has this name.
        """
        if name not in self._found:
            load_installed()
        if name not in self._found:
            raise UserError(
                f"{self._key} is {name!r}; the known {self._what} are {', '.join(self._found)}. "
                "If a plugin defines it, load the plugin with --plugin FILE.py."
            )
        return self._found[name]

    def all(self) -> dict[str, T]:
        """All objects by name, those of installed plugins included."""
        load_installed()
        return dict(self._found)


def located(plugin: str, folder: Path | None = None) -> str:
    """Resolves the path of a plugin's file to an absolute path; a module name is unchanged.

    Args:
      plugin: path or module name, see `load_plugins`; a path without a file is unchanged.
      folder: directory in which a relative path is looked up before the current one.
    """
    path = Path(plugin).expanduser()
    places = [folder / path, path] if folder else [path]
    there = [place for place in places if plugin.endswith(".py") and place.is_file()]
    return str(there[0].resolve()) if there else plugin


def load_plugins(plugins: Iterable[str]) -> None:
    """Imports each plugin once; warns on stderr about one that registers nothing.

    Args:
      plugins: paths that end in .py, or dotted module names.

    Raises:
      UserError: a plugin is missing, or importing it fails.
    """
    for plugin in plugins:
        if not isinstance(plugin, str):
            raise UserError(f"plugin {plugin!r} is no name; give text, as in ('task.py',).")
        before = Registry._registered
        try:
            new = _load(plugin)
        except UserError as error:
            raise UserError(f"plugin {plugin}: {error}") from error
        except (Exception, SystemExit) as error:  # a user's own code may raise anything
            reason = " ".join(f"{type(error).__name__}: {error}".split()).rstrip(":")
            raise UserError(f"plugin {plugin} cannot be loaded ({reason}); fix it.") from error
        if new and Registry._registered == before:
            text = "registers nothing; it should call TASKS.register or MIXERS.register"
            print(f"trm: plugin {plugin} {text}.", file=sys.stderr)


def _load(plugin: str) -> bool:
    """Imports a plugin; returns False if it was imported before, under any name."""
    if not plugin.endswith(".py"):
        return _load_module(plugin)
    path = Path(plugin).expanduser().resolve()
    if not path.is_file():
        raise UserError("there is no such file; give the path of a Python file.")
    name = f"trm_plugin_{hashlib.sha256(str(path).encode()).hexdigest()[:16]}"
    if name in sys.modules or _runs(path):
        return False
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return True


def _load_module(name: str) -> bool:
    hint = "; the name of a file ends in .py"
    if Path(f"{name}.py").is_file():
        hint = f"; there is a file {name}.py, which is given with its .py"
    if not all(part.isidentifier() for part in name.split(".")):
        raise UserError(f"this is not the name of a module{hint}.")
    if name in sys.modules:
        return False
    try:
        spec = importlib.util.find_spec(name)
    except ModuleNotFoundError as error:  # a parent package is missing
        if not f"{name}.".startswith(f"{error.name}."):
            raise
        spec = None
    if spec is None:
        raise UserError(f"there is no such module{hint}.")
    if spec.origin and _runs(Path(spec.origin).resolve()):
        return False
    importlib.import_module(name)
    return True


def _runs(path: Path) -> bool:
    """Whether a file has already been imported as a module, under any name."""
    files = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
    return any(Path(f).resolve() == path for f in files if f and f.endswith(path.name))


@functools.cache
def load_installed() -> None:
    """Imports the plugins of installed packages, once.

    Raises:
      UserError: importing one fails.
    """
    load_plugins(
        entry.value.partition(":")[0]
        for entry in importlib.metadata.entry_points(group=ENTRY_POINTS)
    )
