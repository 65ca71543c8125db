"""`trm solve --trace` and `--gif`: watching a model think."""

import contextlib
import os
import sys
from pathlib import Path

from absl import flags

from trm_jax.core.errors import UserError
from trm_jax.show import figures
from trm_jax.show.trace_gif import animation
from trm_jax.show.trace_page import MOST_TRACES, Trace, page

_EXAMPLES = {"trace": "trace.html", "gif": "solving.gif"}


def define(values: flags.FlagValues) -> None:
    """Adds the flags."""
    text = f"HTML page of the first {MOST_TRACES} puzzles or tests, by step."
    flags.DEFINE_string("trace", None, text, flag_values=values)
    flags.DEFINE_string("gif", None, "Animated GIF of the first of them.", flag_values=values)


def check(values: flags.FlagValues) -> None:
    """Refuses, before anything is computed, files that cannot be written.

    Raises:
        UserError: one is a directory, or lies below a file, or matplotlib is not installed.
    """
    for name in ("trace", "gif"):
        target = values[name].value
        if target is None:
            continue
        path = Path(target)
        if not target or os.path.isdir(target):  # a `Path` may raise on odd names
            raise UserError(
                f"--{name} is {target!r}, no name for a file; give one, for example "
                f"{Path(target) / _EXAMPLES[name]}."
            )
        for parent in path.parents:
            if os.path.exists(parent) and not os.path.isdir(parent):
                raise UserError(
                    f"--{name} is {target}, and {parent} is a file; give a place in a directory."
                )
    if values.gif:
        figures.empty_figure((1, 1))


def wanted(values: flags.FlagValues, count: int) -> int:
    """How many of so many puzzles or tests have to be watched; the first ones."""
    if values.trace:
        return min(count, MOST_TRACES)
    return min(count, 1) if values.gif else 0


def write(
    values: flags.FlagValues, name: str, traces: list[Trace], count: int, note: str = ""
) -> None:
    """Writes what was asked for, and says so on stderr.

    Args:
        values: of the flags.
        name: of the model.
        traces: as many as are `wanted`.
        count: puzzles or tests that there are.
        note: to be read on the page.

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
    """Writes a file whole, or not at all."""
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
