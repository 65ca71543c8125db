"""Rewrites the flags --config and --config.NAME=VALUE before ml_collections reads them."""

import ast
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trm_jax.config import locate
from trm_jax.config.dotted import known_name, known_names
from trm_jax.core.errors import UserError
from trm_jax.core.registry import load_plugins

FILL = str(Path(__file__).with_name("fill.py"))
PAIR, PAIRS = re.compile(r"\d+[xX]\d+"), ("data.sudoku.box",)
"""Pattern of a pair such as 3x3, which stands for (3, 3), and the settings that accept it."""
CONFIG, SETTING, UNSET, PLUGIN = "--config", "--config.", "--noconfig.", "--plugin"


def rewritten(arguments: Sequence[str]) -> list[str]:
    """Rewrites a command's arguments: resolves config files and renamed settings.

    Config files are replaced by ones with all defaults (`config/fill.py`), and settings by their
    current names. Plugins are loaded first, since they define settings of their own. If a setting
    is given several times, only the last value is kept; several --plugin flags become one; --config
    is moved before its settings.

    Args:
      arguments: arguments of a command; all others are returned unchanged.

    Raises:
      UserError: a config file or plugin cannot be loaded, a setting does not exist, or a setting
        has two values, by its old name and its current one.
    """
    words = _joined(arguments)
    end = words.index("--") if "--" in words else len(words)
    words, rest = _plugins_together(words[:end]), words[end:]
    if PLUGIN in words:
        raise UserError("--plugin names nothing; give a Python file, as in --plugin FILE.py.")
    for word in words:
        flag, _, value = word.partition("=")
        if flag in (PLUGIN, f"{SETTING}plugins"):
            load_plugins(_list(value))
    for word in words:
        flag, _, value = word.partition("=")
        if flag == CONFIG:
            locate.load(value.removeprefix(f"{FILL}:"))
    known_names({_name(word): _value(word) for word in words if _name(word)})
    words = _last_of_each(list(map(_rewritten, words)))
    return _config_first(words) + rest


def config_file(arguments: Sequence[str]) -> str:
    """FILE[:variant] of --config as the user wrote it; empty if --config is not given."""
    given = [w.partition("=")[2] for w in _joined(arguments) if w.startswith(f"{CONFIG}=")]
    return given[-1].removeprefix(f"{FILL}:") if given else ""


def refuse_settings_alone(arguments: Sequence[str]) -> None:
    """Refuses --config.NAME without --config.

    Raises:
      UserError: a setting is given, but no config file.
    """
    words = _joined(arguments)
    alone = [word for word in words if _name(word)]
    if alone and not config_file(words):
        raise UserError(
            f"--config is missing; {alone[0]} changes a setting of it, so give --config FILE too."
        )


def _joined(arguments: Sequence[str]) -> list[str]:
    """Joins each flag of a config or plugin with its value by "=", and gives it two dashes."""
    words: list[str] = []
    waits = False
    for word in arguments:
        if waits and not word.startswith("--"):
            words[-1] += f"={word}"
            waits = False
            continue
        name = word if word.startswith("--") else f"-{word}"
        ours = name.partition("=")[0] in (CONFIG, PLUGIN) or name.startswith((SETTING, UNSET))
        words.append(name if ours else word)
        waits = ours and "=" not in name and not name.startswith(UNSET)
    return words


def _name(word: str) -> str:
    """Name of the setting that an argument sets, as the user wrote it; empty if it sets none."""
    flag = word.partition("=")[0]
    start = next((start for start in (SETTING, UNSET) if flag.startswith(start)), flag)
    return flag.removeprefix(start)


def _value(word: str) -> Any:
    """Value that an argument gives its setting: a Python literal, or else text."""
    _, equals, text = word.partition("=")
    if not equals:
        return not word.startswith(UNSET)
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text


def _rewritten(word: str) -> str:
    flag, equals, value = word.partition("=")
    if flag == CONFIG and equals and not value.startswith(f"{FILL}:"):
        return f"{CONFIG}={FILL}:{value}"
    name = _name(word)
    if flag in (SETTING, UNSET):
        raise UserError(
            f"{flag} does not name a setting; docs/reference/settings.md lists all of them."
        )
    if not name:
        return word
    known = known_name(name)
    if known in PAIRS and PAIR.fullmatch(value):  # as in `trm data --box=3x3`
        value = f"({value.lower().replace('x', ', ')})"
    return f"{flag.removesuffix(name)}{known}{equals}{value}"


def _plugins_together(words: list[str]) -> list[str]:
    """Merges all --plugin flags into the first one."""
    ours = [word for word in words if word.startswith(f"{PLUGIN}=")]
    names = [name for word in ours for name in _list(word.removeprefix(f"{PLUGIN}="))]
    if not ours:
        return words
    place = words.index(ours[0])
    others = [word for word in words if word not in ours]
    return [*others[:place], f"{PLUGIN}={','.join(dict.fromkeys(names))}", *others[place:]]


def _last_of_each(words: list[str]) -> list[str]:
    """Removes arguments whose setting a later argument sets again."""
    last = {_name(word): place for place, word in enumerate(words)}
    return [w for place, w in enumerate(words) if not _name(w) or last[_name(w)] == place]


def _config_first(words: list[str]) -> list[str]:
    """Moves --config before the first of its settings, as ml_collections requires."""
    first = next((place for place, word in enumerate(words) if _name(word)), len(words))
    late = [word for word in words[first:] if word.startswith(f"{CONFIG}=")]
    return [*words[:first], *late, *(word for word in words[first:] if word not in late)]


def _list(value: str) -> list[str]:
    """Splits "a.py,b.py" or "('a.py', 'b.py')" into names."""
    return [name.strip(" '\"") for name in value.strip("()[] ").split(",") if name.strip(" '\"")]
