"""The `trm` command: finds the subcommand, parses its flags and reports errors in one sentence."""

import importlib
import importlib.metadata
import os
import sys
from collections.abc import Sequence

from absl import flags

from trm_jax.commands.help_page import help_page
from trm_jax.core.cache import keep_programs
from trm_jax.core.errors import EXIT_DONE, UserError
from trm_jax.core.frame import framed, leave, silence_runtimes, use_plain_characters

# Modules of trm_jax.commands, imported only when used: `trm --help` should not wait for JAX.
COMMANDS = {
    "data": "build a dataset, or inspect one",
    "train": "train a model, or resume a run",
    "pack": "pack a run into small files, to resume it on another machine",
    "sweep": "train several variants of an experiment, with several seeds each",
    "eval": "evaluate a checkpoint at every number of supervision steps",
    "solve": "solve puzzles",
    "serve": "solve puzzles over HTTP: a web page and a JSON interface",
    "show": "draw puzzles, with or without a model's predictions",
    "report": "compare runs: a table, its raw numbers and a figure of their learning curves",
    "convert": "convert weights from and to the published PyTorch models",
    "models": "list the released models, check them, or add one",
    "export": "export a model as a program that needs only JAX, and push it to a model hub",
    "plan": "compile for TPUs or GPUs that you do not have: memory, communication, does it fit",
    "bench": "time the train step, the rollout, the input pipeline, checkpoints or start-up",
}
MALLOC = ":".join(
    f"glibc.malloc.{setting}"
    for setting in ("hugetlb=1", "mmap_max=0", "arena_max=1", f"trim_threshold={2**40}")
)
"""glibc settings: huge pages, in one heap that grows and never shrinks; see `_tune_malloc`."""

WRONG_VALUES = {
    "invalid literal for int()": "a whole number",
    "could not convert string to float": "a number",
    "('Non-boolean argument to boolean flag'": "true or false",
}
"""The start of Python's error message for a flag's value, and what the value has to be."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command line and returns its exit code.

    Args:
      argv: arguments without the program's name; None for those of this process.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    name = arguments[0] if arguments else "--help"
    use_plain_characters()
    return framed(lambda: _named(name, arguments[1:]))


def console() -> None:
    """Entry point of the console script `trm`; the current folder is not on the import path."""
    _tune_malloc("-P")
    _prepare()
    leave(main())


def _prepare() -> None:
    """Makes the settings that JAX reads when it is imported."""
    silence_runtimes()
    keep_programs()


def module() -> None:
    """Entry point of `python -m trm_jax`; the current folder is on the import path."""
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
        raise UserError(f"`trm {name}` is not a command; use one of {', '.join(COMMANDS)}.")
    command = importlib.import_module(f"trm_jax.commands.{name}")
    values = flags.FlagValues()
    flags.DEFINE_bool("help", False, "Print this help.", short_name="h", flag_values=values)
    plugin = "Python files or modules that register tasks or mixers; may be given several times."
    flags.DEFINE_list("plugin", [], plugin, flag_values=values)
    if {"-h", "--help"} & set(arguments):
        command.define(values, [])
        print(help_page(command, name, values))
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
    except Exception as error:  # absl and ml_collections raise many types
        raise UserError(f"{_sentence(error)}; `trm {name} --help` explains the flags.") from error
    return command.run(values, rest)


def _with_underscores(argument: str) -> str:
    """Rewrites --max-tasks=3 as --max_tasks=3, since people write both; values are kept."""
    if not argument.startswith("--"):
        return argument
    flag, equals, value = argument[2:].partition("=")
    return f"--{flag.replace('-', '_')}{equals}{value}"


def _sentence(error: Exception) -> str:
    """An error message of absl or ml_collections in one line, without its quoted traceback."""
    text = str(error.args[0]) if error.args else str(error)
    if not isinstance(error, flags.Error | ValueError | TypeError):
        text = f"the flags cannot be read ({type(error).__name__}: {text})"
    if "Traceback" in text:  # the message is in the last line
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
        "`trm COMMAND --help` explains each command; `trm --version` prints the version.",
        "Exit codes: 0 success; 2 wrong usage or input, or no memory or disk space left;",
        "130 Ctrl-C; 141 closed pipe. Each command's help lists its other exit codes.",
    ]
    return "\n".join(lines)


def _tune_malloc(*options: str) -> None:
    """Restarts this process with malloc set to keep freed memory.

    glibc reads these settings from the environment only. A step on CPU allocates its temporary
    memory anew. By default that memory returns to the kernel after each step, and getting it back
    page by page can take longer than the step's arithmetic; experiments/performance.md has the
    measured ratios.
    """
    if sys.platform == "linux" and "GLIBC_TUNABLES" not in os.environ:
        os.environ["GLIBC_TUNABLES"] = MALLOC
        os.execv(sys.executable, [sys.executable, *options, "-m", "trm_jax", *sys.argv[1:]])
