"""`trm solve --trace` and `--gif`: the answers after every step, as a page or an animation."""

import contextlib
import os
import sys
from pathlib import Path

from absl import flags

from trm_jax.core.errors import UserError
from trm_jax.show import figures
from trm_jax.show.trace_gif import animation
from trm_jax.show.trace_page import MAX_TRACES, Trace, page

_EXAMPLES = {"trace": "trace.html", "gif": "solving.gif"}


def define(values: flags.FlagValues) -> None:
    """Adds the flags."""
    text = f"HTML page to write: the answers to the first {MAX_TRACES} puzzles, step by step."
    flags.DEFINE_string("trace", None, text, flag_values=values)
    gif = "Animated GIF to write: the answer to the first puzzle, step by step."
    flags.DEFINE_string("gif", None, gif, flag_values=values)


def check(values: flags.FlagValues) -> None:
    """Refuses files that cannot be written, before anything is computed.

    Raises:
      UserError: a path is a directory or lies below a file, or matplotlib is not installed.
    """
    for name in ("trace", "gif"):
        target = values[name].value
        if target is None:
            continue
        path = Path(target)
        if not target or os.path.isdir(target):  # a `Path` may raise on odd names
            raise UserError(
                f"--{name} is {target!r}, which is not a file name; give one, for example "
                f"{Path(target) / _EXAMPLES[name]}."
            )
        if name == "gif" and path.suffix.lower() != ".gif":
            raise UserError(f"--gif is {target}; give a name that ends in .gif.")
        for parent in path.parents:
            if os.path.exists(parent) and not os.path.isdir(parent):
                raise UserError(
                    f"--{name} is {target}, but {parent} is a file; give a path in a directory."
                )
    if values.gif:
        figures.empty_figure((1, 1))


def wanted(values: flags.FlagValues, count: int) -> int:
    """Number of puzzles or tests, of `count`, whose steps have to be recorded: the first ones."""
    if values.trace:
        return min(count, MAX_TRACES)
    return min(count, 1) if values.gif else 0


def write(
    values: flags.FlagValues, name: str, traces: list[Trace], count: int, note: str = ""
) -> None:
    """Writes the page and the animation that the flags name, and reports them on stderr.

    Args:
      values: parsed flags.
      name: name of the model.
      traces: traces of the first puzzles, as many as `wanted` says.
      count: number of all puzzles or tests.
      note: a note for the page.

    Raises:
      UserError: a file cannot be written.
    """
    if values.trace:
        if len(traces) < count:
            few = f"The page shows the first {len(traces)} of {count:,}."
            note = f"{note} {few}".strip()
            print(few, file=sys.stderr)
        title = f"{name}: watch it think"
        _write(values.trace, page(title, traces, note).encode())
    if values.gif:
        _write(values.gif, animation(traces[0]))


def _write(target: str, content: bytes) -> None:
    """Writes a file completely, or leaves nothing behind."""
    path = Path(target)
    draft = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_bytes(content)
        draft.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            draft.unlink()
        reason = error.strerror or error
        raise UserError(f"{target} cannot be written ({reason}); give another place.") from error
    print(f"wrote {target}", file=sys.stderr)
