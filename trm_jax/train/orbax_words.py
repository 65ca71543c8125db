"""What Orbax and its storage say, brought down to what helps the one who reads it."""

import contextlib
import logging
import sys
from collections.abc import Iterator
from types import TracebackType
from typing import Any

import jax
import orbax.checkpoint as ocp
from etils import epath

MOST_REASON = 240


def _is_news(record: logging.LogRecord) -> bool:
    """Orbax warns of what is meant here: saves without a score, opening read-only, and looking."""
    if record.exc_info and "orbax" in record.pathname:
        return False  # of a save in the background: it is raised in the foreground as well
    message = record.getMessage()
    meant = ("tracked_metric", "read_only", "read only", "Metadata file does", "get item metadata")
    return not any(words in message for words in meant)


logging.getLogger("absl").addFilter(_is_news)


def misfit(state: epath.Path, want: Any) -> str | None:
    """The first array that is saved in another shape than wanted, or not at all, in words."""
    try:
        with ocp.StandardCheckpointer() as reader:
            kept = _shapes(reader.metadata(state).item_metadata)
    except (ValueError, KeyError, TypeError, OSError):
        kept = {}
    if not kept:
        return None  # it does not even say what it holds
    for name, shape in _shapes(want).items():
        if name not in kept:
            return f"it has no {name}"
        if kept[name] != shape:
            return f"{name} is {kept[name]} there and {shape} here"
    return None


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keeps a failed read from printing tracebacks of what was still under way.

    They come from the storage's own threads, also after the read has failed; so the hook stays.
    """
    before = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if str(error) != "Event loop is closed":
            before(kind, error, trace)

    sys.excepthook = hook
    yield
    sys.excepthook = before


def _shapes(tree: Any) -> dict[str, tuple[int, ...]]:
    """Shape of each array of a tree, by its dotted name, whatever the tree is made of.

    Random keys are left out, whose shape on disk is that of their raw words.
    """
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {_dotted(path): tuple(leaf.shape) for path, leaf in leaves if _is_plain(leaf)}


def _is_plain(leaf: Any) -> bool:
    """Whether a leaf is an array, or stands for one, and holds no random keys."""
    return hasattr(leaf, "shape") and not jax.numpy.issubdtype(leaf.dtype, jax.dtypes.extended)


def _dotted(path: tuple[Any, ...]) -> str:
    """A place in a tree as Orbax names it, whether its containers are classes, dicts or lists."""
    return jax.tree_util.keystr(path, simple=True, separator=".")


def first_words(error: Exception) -> str:
    """The beginning of what an error says, in one line; the rest is for those who wrote Orbax."""
    text = " ".join((str(error) or type(error).__name__).split(" [")[0].split())
    return text if len(text) <= MOST_REASON else f"{text[:MOST_REASON]}..."
