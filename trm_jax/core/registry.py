"""Registries: objects by name, of which users can bring their own.

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
from typing import Generic, TypeVar

from trm_jax.core.errors import UserError

ENTRY_POINTS = "trm_jax.plugins"

T = TypeVar("T")


class Registry(Generic[T]):
    """Objects by name; unknown names are refused with the list of the known ones."""

    def __init__(self, key: str, what: str) -> None:
        """Makes an empty one.

        Args:
          key: of the setting that names an object, for messages: "config.data.task".
          what: its objects are, in the plural.
        """
        self._key, self._what = key, what
        self._found: dict[str, T] = {}

    def register(self, name: str, item: T) -> T:
        """Adds an object.

        Raises:
          UserError: the name is taken.
        """
        if name in self._found:
            raise UserError(f"two {self._what} are named {name!r}; rename the plugin's.")
        self._found[name] = item
        return item

    def get(self, name: str) -> T:
        """The object of a name; installed plugins are looked at before it is refused.

        Raises:
          UserError: there is none.
        """
        if name not in self._found:
            load_installed()
        if name not in self._found:
            raise UserError(
                f"{self._key} is {name!r}; the known {self._what} are {', '.join(self._found)}. "
                "One that a plugin brings needs the plugin: --plugin FILE.py."
            )
        return self._found[name]

    def all(self) -> dict[str, T]:
        """All objects by name, those of installed plugins included."""
        load_installed()
        return dict(self._found)


def load_plugins(plugins: Iterable[str]) -> None:
    """Imports plugins, each once.

    Args:
      plugins: paths that end in .py, or dotted module names.

    Raises:
      UserError: one is not there, or fails.
    """
    for plugin in plugins:
        try:
            _load(plugin)
        except UserError as error:
            raise UserError(f"plugin {plugin}: {error}") from error
        except Exception as error:  # it is the user's own program: anything may come out of it
            reason = " ".join(f"{type(error).__name__}: {error}".split()).rstrip(":")
            raise UserError(f"plugin {plugin} cannot be loaded ({reason}); mend it.") from error


def _load(plugin: str) -> None:
    if not plugin.endswith(".py"):
        importlib.import_module(plugin)
        return
    path = Path(plugin).expanduser().resolve()
    if not path.is_file():
        raise UserError("there is no such file; give the path of a Python file.")
    name = f"trm_plugin_{hashlib.sha256(str(path).encode()).hexdigest()[:16]}"
    if name in sys.modules:
        return
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise


@functools.cache
def load_installed() -> None:
    """Imports the plugins of installed packages, once.

    Raises:
      UserError: one fails.
    """
    load_plugins(
        entry.value.partition(":")[0]
        for entry in importlib.metadata.entry_points(group=ENTRY_POINTS)
    )
