"""Shortens the warnings and errors of Orbax and its storage to what helps the user."""

import contextlib
import logging
import sys
from collections.abc import Iterator
from types import TracebackType
from typing import Any

import jax
import orbax.checkpoint as ocp
from etils import epath

MAX_REASON = 240


def _is_news(record: logging.LogRecord) -> bool:
    """Filters Orbax's warnings about what is intended: saves without a score, reading only."""
    if record.exc_info and "orbax" in record.pathname:
        return False  # from a save in the background: the error is raised as well
    message = record.getMessage()
    meant = ("tracked_metric", "read_only", "read only", "Metadata file does", "get item metadata")
    return not any(words in message for words in meant)


logging.getLogger("absl").addFilter(_is_news)


def misfit(state: epath.Path, want: Any) -> str | None:
    """Describes the first array that is missing or saved in another shape than wanted."""
    try:
        with ocp.StandardCheckpointer() as reader:
            kept = _shapes(reader.metadata(state).item_metadata)
    except (ValueError, KeyError, TypeError, OSError):
        kept = {}
    if not kept:
        return None  # the checkpoint does not list its arrays
    for name, shape in _shapes(want).items():
        if name not in kept:
            return f"it has no {name}"
        if kept[name] != shape:
            return f"{name} is {kept[name]} there and {shape} here"
    return None


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Context that hides tracebacks of reads that are still running when a read has failed.

    The storage's threads print them even later, so after an error the hook stays installed.
    """
    before = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if str(error) != "Event loop is closed":
            before(kind, error, trace)

    sys.excepthook = hook
    yield
    sys.excepthook = before


def _shapes(tree: Any) -> dict[str, tuple[int, ...]]:
    """Shape of each array of a tree by its dotted name, for any containers.

    Random keys are left out, since on disk they have the shape of their raw words.
    """
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {_dotted(path): tuple(leaf.shape) for path, leaf in leaves if _is_plain(leaf)}


def _is_plain(leaf: Any) -> bool:
    """Whether a leaf is an array or a shape, and does not hold random keys."""
    return hasattr(leaf, "shape") and not jax.numpy.issubdtype(leaf.dtype, jax.dtypes.extended)


def _dotted(path: tuple[Any, ...]) -> str:
    """Path in a tree as Orbax names it, whether its containers are classes, dicts or lists."""
    return jax.tree_util.keystr(path, simple=True, separator=".")


def first_words(error: Exception) -> str:
    """The beginning of an error's message in one line, without Orbax's internals."""
    text = " ".join((str(error) or type(error).__name__).split(" [")[0].split())
    return text if len(text) <= MAX_REASON else f"{text[:MAX_REASON]}..."
