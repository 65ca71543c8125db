"""Finds and loads config files, and fills in defaults."""

import functools
import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import trm_jax
from trm_jax.config.dotted import refuse_other_tasks
from trm_jax.config.experiment import Experiment
from trm_jax.core.errors import UserError
from trm_jax.core.registry import load_plugins, located
from trm_jax.core.settings import as_mapping, tuples
from trm_jax.tasks.settings import DataConfig
from trm_jax.tasks.sources import RENAMED, json_copy, renamed
from trm_jax.tasks.task import TASKS

PACKAGE = Path(trm_jax.__file__).parent


def experiments() -> Path:
    """Directory of the config files that come with this package, installed or in a clone."""
    installed = PACKAGE / "experiments"
    return installed if installed.is_dir() else PACKAGE.parent / "experiments"


def find(name: str, kind: str = "config") -> Path:
    """Finds a config or sweep file by its path, or one that comes with the package by its name.

    Args:
      name: "path/to/file.py", or a name such as "sudoku" or "experiments/sudoku.py".
      kind: "config" or "sweep".

    Raises:
      UserError: the file does not exist.
    """
    own = Path(name)
    if own.is_file():
        return own
    packaged = experiments() / f"{own.stem}.py"
    short = (own.stem, packaged.name, f"experiments/{packaged.name}")
    if packaged.is_file() and own.as_posix() in short:
        return packaged
    files = sorted(experiments().glob("*.py"))
    known = [p.stem for p in files if f"\ndef get_{kind}(" in p.read_text("utf-8")]
    what = f"{kind} file {name} is not there" if name else f"--{kind} names no file"
    raise UserError(f"{what}; give a path, or one of {', '.join(known)}.")


@functools.cache
def _loaded(spec: str) -> dict[str, Any]:
    name, _, variant = spec.partition(":")
    path = find(name)
    module_spec = importlib.util.spec_from_file_location(f"config_{path.stem}", path)
    if module_spec is None or module_spec.loader is None:
        raise UserError(f"config file {path} is not a Python file.")
    module = importlib.util.module_from_spec(module_spec)
    sys.path.insert(0, str(path.resolve().parent))  # it may import modules of its directory
    try:
        module_spec.loader.exec_module(module)
        if not hasattr(module, "get_config"):
            raise UserError(f"config file {path} defines no get_config(variant).")
        found = module.get_config(variant) if variant else module.get_config()
    except UserError:
        raise
    except (Exception, SystemExit) as error:  # a user's own code may raise anything
        reason = (str(error).strip() or type(error).__name__).splitlines()[-1].strip()
        if isinstance(error, SystemExit):
            reason = f"it ends the program by sys.exit({error.code!r})"
        raise UserError(f"config file {path} cannot be loaded: {reason}.") from error
    finally:
        sys.path.pop(0)
    values = found.to_dict() if hasattr(found, "to_dict") else found
    if not isinstance(values, Mapping):
        raise UserError(
            f"config file {path} returns a {type(found).__name__}; return a ConfigDict."
        )
    try:
        _check_names(values, "config")
        return renamed(values, RENAMED)
    except UserError as error:
        raise UserError(f"config file {path}: {error}") from error


def _check_names(values: Mapping[Any, Any], group: str) -> None:
    for name, value in values.items():
        if not isinstance(name, str) or "." in name:
            raise UserError(
                f"{group} has a setting named {name!r}; names are strings without dots, and groups "
                "are nested mappings."
            )
        if isinstance(value, Mapping):
            _check_names(value, f"{group}.{name}")


def load(spec: str) -> dict[str, Any]:
    """Loads a config file without filling in defaults, and its plugins.

    Plugins that are files get absolute paths; a relative path is looked up beside the config file,
    then in the current directory.

    Args:
      spec: FILE[:variant], see `find`.

    Raises:
      UserError: the file is missing, fails or does not return a mapping, or it has settings of
        other tasks than its own.
    """
    values = json_copy(_loaded(spec))
    path = find(spec.partition(":")[0])
    plugins = values.get("plugins", ())
    if not isinstance(plugins, list | tuple) or not all(isinstance(p, str) for p in plugins):
        raise UserError(
            f"config file {path}: config.plugins is {plugins!r}; give a tuple of names, as in "
            "('task.py',)."
        )
    if plugins:
        plugins = (located(plugin, path.resolve().parent) for plugin in plugins)
        values["plugins"] = tuple(dict.fromkeys(plugins))
        load_plugins(values["plugins"])
    try:
        _refuse_other_tasks(values.get("data"))
    except UserError as error:
        raise UserError(f"config file {path}: {error}") from error
    return values


def _refuse_other_tasks(data: Any) -> None:
    """Applies `refuse_other_tasks` to the group `data` of a config."""
    if not isinstance(data, Mapping):
        return  # refused by name when the config is read
    groups = {task: data[task] for task in TASKS.all() if isinstance(data.get(task), Mapping)}
    names = [f"data.{task}.{name}" for task, group in groups.items() for name in group]
    refuse_other_tasks(data.get("task", DataConfig.task), names)


def filled(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a nested config with the defaults of all settings, including those of every task.

    Raises:
      UserError: a group of settings is not a mapping.
    """
    defaults = Experiment().to_dict()
    for name, task in TASKS.all().items():
        defaults["data"][name] = task.settings().to_dict()
    return _merged(defaults, config)


def _merged(
    defaults: dict[str, Any], config: Mapping[str, Any], group: str = "config"
) -> dict[str, Any]:
    merged = dict(defaults)
    for key, value in config.items():
        default = merged.get(key)
        if isinstance(value, Mapping) and isinstance(default, Mapping):
            merged[key] = _merged(dict(default), value, f"{group}.{key}")
        elif isinstance(default, Mapping):
            as_mapping(f"{group}.{key}", value)  # raises the error
        else:
            merged[key] = _like(default, value)
    return merged


def _like(default: Any, value: Any) -> Any:
    """Converts a value to its default's type; command-line overrides are parsed by that type."""
    if isinstance(default, float) and type(value) is int:
        try:
            return float(value)
        except OverflowError:
            return value  # refused by name when the config is read
    return tuples(value) if isinstance(default, tuple) else value
