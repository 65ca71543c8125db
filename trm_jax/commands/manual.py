"""The reference page of all commands, made from their `--help` texts."""

import contextlib
import importlib
import io
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from trm_jax.cli import COMMANDS
from trm_jax.cli import main as trm

HEAD = """\
# Commands

The `--help` texts of all commands. This page is generated:
`python -m trm_jax.commands.manual > docs/reference/commands.md`.

Settings of the experiment are not listed here: every command with `--config` also takes
`--config.GROUP.NAME=VALUE` for each of the [settings](settings.md).
"""
WIDTH = "80"
"""Columns of the launcher's help, which otherwise follows the terminal."""


def page() -> str:
    """The whole page in Markdown."""
    sections = [_section("trm", trm, [])]
    sections += [_section(f"trm {name}", trm, [name]) for name in COMMANDS]
    return "\n".join([HEAD, *sections, _section("trm-launch", _launcher(), [])])


def _launcher() -> Callable[[Sequence[str]], object]:
    """The launcher's `main`; in a clone from its own folder."""
    try:
        return importlib.import_module("trm_jax.launch.cli").main
    except ModuleNotFoundError:
        return importlib.import_module("launch.cli").main


def _section(title: str, main: Callable[[Sequence[str]], object], words: Sequence[str]) -> str:
    text = _printed(main, [*words, "--help"]).strip()
    # what depends on this machine
    text = text.replace(sys.executable, "python").replace(f"{Path.cwd()}/", "")
    return f"## {title}\n\n```text\n{text}\n```\n"


def _printed(main: Callable[[Sequence[str]], object], arguments: Sequence[str]) -> str:
    """What a command prints to standard output."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
        main(arguments)
    return out.getvalue()


if __name__ == "__main__":
    os.environ["COLUMNS"] = WIDTH
    text = page()
    print(text, end="")
