"""Reads the arguments of `trm solve`: puzzles, files of puzzles, and standard input."""

import re
from collections.abc import Sequence
from pathlib import Path

from trm_jax.core.errors import UserError
from trm_jax.core.textfiles import read_stdin, read_text
from trm_jax.tasks.given import BadLineError
from trm_jax.tasks.task import Shape, task_of
from trm_jax.tasks.texts import Source

MAX_NAME = 256
"""Maximum length of a file name in characters; a longer argument is a puzzle."""
_PATH = re.compile(r"\.[A-Za-z][A-Za-z0-9]{1,5}$|^~|^[A-Za-z]:\\")


def sources(rest: Sequence[str], shapes: Sequence[Shape]) -> list[Source]:
    """The texts of the arguments.

    Args:
      rest: puzzles, file names, and "-" for standard input.
      shapes: shapes that the puzzles may have.

    Raises:
      UserError: a file does not exist or cannot be read.
    """
    known: Sequence[Shape | None] = shapes or [None]
    found: list[Source] = []
    for argument in rest:
        if not argument.strip():  # an unset shell variable; `Path("")` would be "."
            continue
        if argument == "-":
            found.append(Source(read_stdin(), "standard input"))
        elif _is_there(argument):
            found.append(Source(read_text(Path(argument)), argument))
        elif all(_names_a_file(argument, shape) for shape in known):
            raise UserError(
                f"{argument}: no such file, and it is not a puzzle either; give the path of a file "
                "with puzzles, or the cells of one."
            )
        else:
            found.append(Source(argument))
    return found


def _is_there(argument: str) -> bool:
    try:
        return len(argument) < MAX_NAME and Path(argument).exists()
    except (OSError, ValueError):
        return False


def _names_a_file(argument: str, shape: Shape | None) -> bool:
    """Whether an argument that is not an existing file must be meant as a file's name.

    Args:
      argument: the argument.
      shape: shape of the puzzles; None where it is unknown, and then an argument that looks like
        a path is a file's name.
    """
    named = "/" in argument or bool(_PATH.search(argument))
    if shape is None:
        return named and "\n" not in argument and len(argument) < MAX_NAME
    task = task_of(shape)
    if len(argument) >= MAX_NAME or "\n" in argument or task.symbols(shape) is None:
        return False
    try:
        return not task.read_all(shape, argument)
    except BadLineError:
        known = {*"".join(task.symbols(shape) or ()), *" ._-*?xX|,"}
        foreign = [character for character in argument if character not in known]
        board = task.board(shape)
        short = not board.canvas and len(argument) < board.rows * board.columns
        words = any(map(str.isalpha, argument)) and 2 * len(foreign) > len(argument)
        return bool(foreign) and (named or short or words)
    except UserError:
        return False
