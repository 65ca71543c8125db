"""The command line's --config and --config.NAME=VALUE, before ml_collections reads them."""

from collections.abc import Sequence
from pathlib import Path

from trm_jax.config import locate
from trm_jax.config.dotted import known_name
from trm_jax.core.registry import load_plugins

FILL = str(Path(__file__).with_name("fill.py"))
CONFIG, SETTING, PLUGIN = "--config", "--config.", "--plugin"


def rewritten(arguments: Sequence[str]) -> list[str]:
    """Arguments with config files found and filled in, and settings by the names they have now.

    Plugins that are named are loaded on the way, since they bring settings of their own.

    Args:
      arguments: of a command; those that are no --config stay as they are.

    Raises:
      UserError: a config file cannot be loaded, or there is no such setting.
    """
    words = _joined(arguments)
    for word in words:
        flag, _, value = word.partition("=")
        if flag in (PLUGIN, f"{SETTING}plugins"):
            load_plugins(_list(value))
    for word in words:
        flag, equals, value = word.partition("=")
        if flag == CONFIG and equals:
            locate.load(value)
    return [_rewritten(word) for word in words]


def config_file(arguments: Sequence[str]) -> str:
    """The FILE[:variant] of --config as the user wrote it, empty where there is none."""
    given = [w.partition("=")[2] for w in _joined(arguments) if w.startswith(f"{CONFIG}=")]
    return given[-1].removeprefix(f"{FILL}:") if given else ""


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
        ours = name.partition("=")[0] in (CONFIG, PLUGIN) or name.startswith(SETTING)
        words.append(name if ours else word)
        waits = ours and "=" not in name
    return words


def _rewritten(word: str) -> str:
    flag, equals, value = word.partition("=")
    if flag == CONFIG and equals and not value.startswith(f"{FILL}:"):
        return f"{CONFIG}={FILL}:{value}"
    if flag.startswith(SETTING):
        return f"{SETTING}{known_name(flag.removeprefix(SETTING))}{equals}{value}"
    return word


def _list(value: str) -> list[str]:
    """Names out of "a.py,b.py" or "('a.py', 'b.py')"."""
    return [name.strip(" '\"") for name in value.strip("()[] ").split(",") if name.strip(" '\"")]
