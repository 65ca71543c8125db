"""The text of `trm COMMAND --help`: what the command does, and its flags under headings."""

import inspect
from collections.abc import Iterable, Mapping, Sequence
from types import ModuleType

from absl import flags

Groups = Mapping[str, Sequence[str]]

MODEL = "which model"
OUTPUT = "output"

GROUPS: Groups = {
    MODEL: ("model", "workdir", "checkpoint", "checkpoints", "steps"),
    "experiment": ("config",),
    "which data": ("data", "split", "task", "first", "count", "max_tasks", "batch_size"),
    "halting": ("halt", "halt_threshold", "halt_min_steps", "halt_patience"),
    "search": (
        *("rollouts", "noise", "noise_on", "restart", "copies", "symmetry", "select"),
        "seed",
    ),
    "search of lattice models": ("search", "passes", "chains", "rounds", "seconds"),
    "puzzles with demonstrations (ARC)": (
        *("voting", "max_augmentations", "unknown_rows", "fit_updates", "fit_network"),
    ),
    OUTPUT: ("out", "json", "show", "curve", "picture", "trace", "gif", "colour"),
    "several processes": ("coordinator", "num_processes", "process_id"),
    "every command": ("plugin", "help"),
}
"""Headings and the names of their flags, in the order in which they are shown."""

OWN_GROUPS: Mapping[str, Groups] = {
    "train": {"experiment": ("config", "workdir")},
    "sweep": {"experiment": ("config", "sweep", "seeds"), OUTPUT: ("out", "dry_run")},
    "data": {"which puzzles": ("source", "train", "tasks", "heldout", "test", "copies", "seed")},
    "show": {"which data": ("data", "split", "task", "first", "count", "copies")},
    "convert": {
        "from-torch": ("config", "data", "rows", "step", "puzzles"),
        "to-torch": ("workdir", "checkpoint", "raw", "prefix"),
    },
    "export": {"export": ("batch_size",)},
    "solve": {
        "search of lattice models": ("search", "passes", "chains", "rounds", "seconds", "seed")
    },
    "serve": {
        "server": ("host", "port", "queue", "time_limit", "max_puzzles", "max_body"),
        "batching": ("batch_size", "steps_per_call"),
        "halting (recursive models)": ("halt_threshold",),
        "search of lattice models": ("passes", "chains", "rounds", "seed"),
    },
    "models": {
        "models": ("check", "folder"),
        "a new model (--add)": (
            "add",
            *("workdir", "checkpoint", "name", "command", "hardware", "measured", "rank"),
            *("weights", "overwrite"),
        ),
    },
    "bench": {
        "experiment": ("config",),
        "what is timed": ("what", "repeats", "compile_limit", "lock", "workdir"),
        "comparison with another program": (
            *("peer", "peer_python", "peer_flags", "peer_malloc", "rounds"),
        ),
        OUTPUT: ("json", "out", "table", "profile"),
    },
}
"""Groups of a single command, before those of `GROUPS`; flags of no group come under its name.

A command whose flags are not known beforehand has a function `help_groups` for more of them.
"""


def help_page(command: ModuleType, name: str, values: flags.FlagValues) -> str:
    """The help of one command.

    Args:
      command: module of the command; the docstring of its `run` comes first.
      name: name of the command.
      values: the command's flags.
    """
    more: Groups = command.help_groups() if hasattr(command, "help_groups") else {}
    own = {**OWN_GROUPS.get(name, {}), **more}
    about = inspect.cleandoc(command.run.__doc__ or "")
    return "\n\n".join([about, *_sections(name, own, values)])


def _sections(command: str, own: Groups, values: flags.FlagValues) -> Iterable[str]:
    """Yields one text for each heading that has flags."""
    taken = {flag for names in own.values() for flag in names}
    general = {
        heading: [flag for flag in names if flag not in taken] for heading, names in GROUPS.items()
    }
    known = taken.union(*general.values())
    rest = {command: [flag for flag in values if flag not in known and len(flag) > 1]}
    headings = dict.fromkeys([MODEL, *own, *general])
    last = [OUTPUT, "several processes", "every command"]
    order = [*(heading for heading in headings if heading not in last), command, *last]
    for heading in dict.fromkeys(order):
        names = [*own.get(heading, ()), *general.get(heading, ()), *rest.get(heading, ())]
        lines = [_explained(values[flag]) for flag in names if flag in values]
        if lines:
            yield "\n".join([f"{heading}:", *lines])


def _explained(flag: flags.Flag) -> str:
    """One flag: its name, explanation, type and default."""
    name = f"--[no]{flag.name}" if flag.boolean else f"--{flag.name}"
    if flag.short_name:
        name = f"-{flag.short_name}, --{flag.name}"
    explanation = " ".join((flag.help or "").split())
    syntax = flag.parser.syntactic_help.replace("a comma separated list", "comma-separated list")
    facts = [syntax] if syntax else []
    default = str(flag.default).lower() if flag.boolean else flag.default
    shown = flag.default is not None and default not in ("", [], "false")
    if shown and "default:" not in explanation.lower():
        facts.append(f"default: {default}")
    explanation += f" ({'; '.join(facts)})" * bool(facts)
    return flags.text_wrap(f"{name}: {explanation}", indent=" " * 6, firstline_indent=" " * 2)
