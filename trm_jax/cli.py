"""The `trm` command: finds the sub-command, parses its flags, turns mistakes into one sentence."""

import importlib
import importlib.metadata
import os
import re
import sys
from collections.abc import Sequence

from absl import flags

from trm_jax.core.cache import keep_programs
from trm_jax.core.errors import EXIT_DONE, UserError
from trm_jax.core.frame import framed, leave, silence_runtimes, use_plain_characters

# Modules of trm_jax.commands, imported only when asked for: `--help` should not wait for JAX.
COMMANDS = {
    "data": "build a data set, or inspect one",
    "train": "train a model, or go on where it stopped",
    "pack": "put a training into small files, to go on elsewhere",
    "sweep": "train a list of variants, several seeds of each",
    "eval": "score a checkpoint at every depth",
    "solve": "solve puzzles",
    "serve": "solve puzzles for others over HTTP, with a page to try it on",
    "show": "draw puzzles, and what a model makes of them",
    "report": "put runs side by side: a table, and a picture of how they learned",
    "convert": "take the published PyTorch weights in, or write such files",
    "models": "list the models that come with the package, check them, or add one",
    "export": "write a model as a program that JAX alone runs, and push it to the hub",
    "plan": "compile for TPUs or GPUs that you do not have: memory, exchanges, whether it fits",
    "bench": "time the train step, the rollout, the input, checkpoints, start-up",
}
HEADINGS = {
    "cli": "for all commands",
    "common": "which run, and which data",
    "model_flags": "which model",
    "search_flags": "search",
    "chain_flags": "search of lattice models",
    "traces": "drawing",
    "solve_groups": "puzzles with demonstrations (ARC)",
}
"""Of the flags in help, by the module that defines them."""
MALLOC = ":".join(
    f"glibc.malloc.{setting}"
    for setting in ("hugetlb=1", "mmap_max=0", "arena_max=1", f"trim_threshold={2**40}")
)
"""Huge pages, in one heap that grows and never shrinks; see `_tune_malloc`."""

WRONG_VALUES = {
    "invalid literal for int()": "a whole number",
    "could not convert string to float": "a number",
    "('Non-boolean argument to boolean flag'": "true or false",
}
"""What the values must be of which Python says such words; more than it says helps nobody."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command line (None: this process's) and returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    name = arguments[0] if arguments else "--help"
    use_plain_characters()
    return framed(lambda: _named(name, arguments[1:]))


def console() -> None:
    """Entry point of the console script; like it, keeps the current folder out of the imports."""
    _tune_malloc("-P")
    _prepare()
    leave(main())


def _prepare() -> None:
    """What has to be said before JAX is imported."""
    silence_runtimes()
    keep_programs()


def module() -> None:
    """Entry point of `python -m trm_jax`, which imports from the current folder too."""
    _tune_malloc()
    _prepare()
    leave(main())


def _named(name: str, arguments: list[str]) -> int:
    if name in ("--help", "-h", "help"):
        print(_overview())
        return EXIT_DONE
    if name in ("--version", "-V", "version"):
        print(f"trm {importlib.metadata.version('trm-jax')}")
        return EXIT_DONE
    return _run(name, arguments)


def _run(name: str, arguments: list[str]) -> int:
    if name not in COMMANDS:
        raise UserError(f"`trm {name}` is no command; they are: {', '.join(COMMANDS)}.")
    command = importlib.import_module(f"trm_jax.commands.{name}")
    values = flags.FlagValues()
    flags.DEFINE_bool("help", False, "Explain the flags.", short_name="h", flag_values=values)
    plugin = "Python files or modules with tasks or mixers: with commas, or several times."
    flags.DEFINE_list("plugin", [], plugin, flag_values=values)
    if {"-h", "--help"} & set(arguments):
        command.define(values, [])
        print(f"{command.run.__doc__}\nflags:\n{_headed(values, name)}")
        return EXIT_DONE
    arguments = list(map(_with_underscores, arguments))
    ours = ("--config", "--plugin", "-config", "-plugin", "--noconfig.", "-noconfig.")
    if any(word.startswith(ours) for word in arguments):
        from trm_jax.config.arguments import rewritten

        arguments = rewritten(arguments)
    try:
        command.define(values, arguments)
        rest = values([f"trm {name}", *arguments])[1:]
    except UserError:
        raise
    except Exception as error:  # what absl and ml_collections find wrong has many types
        raise UserError(f"{_sentence(error)}; `trm {name} --help` explains the flags.") from error
    return command.run(values, rest)


def _headed(values: flags.FlagValues, command: str) -> str:
    """The flags' explanations, under words that people know in place of modules' names."""
    text = values.get_help(include_special_flags=False)

    def heading(found: re.Match[str]) -> str:
        module = found[1].rpartition(".")[2]
        return f"\n\n{HEADINGS.get(module, command if module == command else 'config')}:\n"

    return re.sub(r"\n*^(?:\S*python\S*|([\w./-]+)):\n", heading, text, flags=re.MULTILINE)


def _with_underscores(argument: str) -> str:
    """--max-tasks=3 is --max_tasks=3, since people write both; values stay as they are."""
    if not argument.startswith("--"):
        return argument
    flag, equals, value = argument[2:].partition("=")
    return f"--{flag.replace('-', '_')}{equals}{value}"


def _sentence(error: Exception) -> str:
    """What absl or ml_collections has to say, in one line and without its quoted traceback."""
    text = str(error.args[0]) if error.args else str(error)
    if not isinstance(error, flags.Error | ValueError | TypeError):
        text = f"the flags cannot be read ({type(error).__name__}: {text})"
    if "Traceback" in text:  # its own words are in the last line
        text = text.splitlines()[-1].partition(": ")[2]
    for words, wanted in WRONG_VALUES.items():
        given, marker, _ = text.partition(f": {words}")
        flag, equals, value = given.removeprefix("flag ").partition("=")
        if marker and equals:
            text = f"{flag} is {value!r}; it must be {wanted}"
    return " ".join(text.replace("\\n", ". ").split())


def _overview() -> str:
    lines = ["trm: tiny recursive reasoners in JAX", ""]
    lines += [f"  trm {name:7} {purpose}" for name, purpose in COMMANDS.items()]
    lines += [
        "",
        "`trm COMMAND --help` explains each; `trm --version` says which this is.",
        "Exit codes: 0 done, 2 a mistake, or no space or memory left, 130 Ctrl-C, 141 a closed",
        "pipe; what else there is, each command's help says.",
    ]
    return "\n".join(lines)


def _tune_malloc(*options: str) -> None:
    """Starts again with malloc set to keep what it has; glibc reads that from the environment only.

    A step on CPU allocates its temporary memory anew. By default such memory goes back to the
    kernel after each step, and fetching it again, page by page, can take longer than the step's
    arithmetic; docs/performance-record.md has the measured ratios.
    """
    if sys.platform == "linux" and "GLIBC_TUNABLES" not in os.environ:
        os.environ["GLIBC_TUNABLES"] = MALLOC
        os.execv(sys.executable, [sys.executable, *options, "-m", "trm_jax", *sys.argv[1:]])
