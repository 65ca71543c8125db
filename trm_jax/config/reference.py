"""Generates docs/reference/settings.md, the page of all settings, from their dataclasses."""

from typing import Any

from trm_jax.config.experiment import Experiment
from trm_jax.core.settings import Settings, is_group, type_name
from trm_jax.tasks.task import TASKS

HEAD = """\
# Settings

Every setting of an experiment, with its type, default, range and description. This page is
generated from the code: `python -m trm_jax.config.reference > docs/reference/settings.md`.

A config file contains only what it changes. Every setting can be overridden on the command line:
`--config.model.width=256`. Tuples are written as in Python:
`--config.data.sudoku.box="(2, 3)"`. A work directory stores its settings in config.json.
"""


def page() -> str:
    """The whole page, in Markdown."""
    groups = [*_with_inner(Experiment), *(task.settings for task in TASKS.all().values())]
    return "\n".join([HEAD, *map(_section, groups)])


def _with_inner(kind: type[Settings]) -> list[type[Settings]]:
    """A group of settings followed by all groups nested in it."""
    inner: list[Any] = [each for _, each, _ in kind.rules() if is_group(each)]
    return [kind, *(one for each in inner for one in _with_inner(each))]


def _section(kind: type[Settings]) -> str:
    lines = [
        f"## {kind.GROUP}\n",
        f"{(kind.__doc__ or '').splitlines()[0]}\n",
        "| setting | type | default | range | description |",
        "|---|---|---|---|---|",
    ]
    defaults = kind()
    for name, each, rule in kind.rules():
        if is_group(each):
            continue
        default = repr(getattr(defaults, name)).replace("'", '"')
        cells = (f"`{kind.GROUP}.{name}`", f"`{type_name(each)}`", f"`{default}`")
        text = rule.about.replace("|", "\\|")
        lines.append(f"| {' | '.join(cells)} | {rule.range().replace(chr(39), chr(34))} | {text} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(page(), end="")
