"""The command line's --config and --config.NAME=VALUE, before ml_collections reads them."""

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
"""3x3 for (3, 3), and the settings that are such pairs."""
CONFIG, SETTING, UNSET, PLUGIN = "--config", "--config.", "--noconfig.", "--plugin"


def rewritten(arguments: Sequence[str]) -> list[str]:
    """Arguments with config files found and filled in, and settings by the names they have now.

    Plugins that are named are loaded on the way, since they bring settings of their own. Of a
    setting that is given several times the last value stays, and of --plugin one flag with all;
    --config comes before its settings.

    Args:
      arguments: of a command; those that are no --config stay as they are.

    Raises:
      UserError: a config file or plugin cannot be loaded, there is no such setting, or one has two
        values by its old name and its new one.
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
    """The FILE[:variant] of --config as the user wrote it, empty where there is none."""
    given = [w.partition("=")[2] for w in _joined(arguments) if w.startswith(f"{CONFIG}=")]
    return given[-1].removeprefix(f"{FILL}:") if given else ""


def refuse_settings_alone(arguments: Sequence[str]) -> None:
    """Refuses settings of a config that is not there.

    Raises:
      UserError: --config.NAME is given and --config is not.
    """
    words = _joined(arguments)
    alone = [word for word in words if _name(word)]
    if alone and not config_file(words):
        raise UserError(
            f"--config is missing; {alone[0]} changes a setting of it, so give --config FILE too."
        )


def _joined(arguments: Sequence[str]) -> list[str]:
    """--config FILE and --config.name VALUE as one word each, with two dashes and a "="."""
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
    """The setting that a word gives, by the name that the user writes; empty if it gives none."""
    flag = word.partition("=")[0]
    start = next((start for start in (SETTING, UNSET) if flag.startswith(start)), flag)
    return flag.removeprefix(start)


def _value(word: str) -> Any:
    """What a word gives its setting, as Python reads it, else as text."""
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
        raise UserError(f"{flag} names no setting; docs/reference/settings.md lists all of them.")
    if not name:
        return word
    known = known_name(name)
    if known in PAIRS and PAIR.fullmatch(value):  # as `trm data` has it, and as people write it
        value = f"({value.lower().replace('x', ', ')})"
    return f"{flag.removesuffix(name)}{known}{equals}{value}"


def _plugins_together(words: list[str]) -> list[str]:
    """All plugins in the first flag that names one."""
    ours = [word for word in words if word.startswith(f"{PLUGIN}=")]
    names = [name for word in ours for name in _list(word.removeprefix(f"{PLUGIN}="))]
    if not ours:
        return words
    place = words.index(ours[0])
    others = [word for word in words if word not in ours]
    return [*others[:place], f"{PLUGIN}={','.join(dict.fromkeys(names))}", *others[place:]]


def _last_of_each(words: list[str]) -> list[str]:
    """Without the words whose setting a later one sets anew."""
    last = {_name(word): place for place, word in enumerate(words)}
    return [w for place, w in enumerate(words) if not _name(w) or last[_name(w)] == place]


def _config_first(words: list[str]) -> list[str]:
    """With --config before the first of its settings, where ml_collections wants it."""
    first = next((place for place, word in enumerate(words) if _name(word)), len(words))
    late = [word for word in words[first:] if word.startswith(f"{CONFIG}=")]
    return [*words[:first], *late, *(word for word in words[first:] if word not in late)]


def _list(value: str) -> list[str]:
    """Names out of "a.py,b.py" or "('a.py', 'b.py')"."""
    return [name.strip(" '\"") for name in value.strip("()[] ").split(",") if name.strip(" '\"")]
