"""Finds the state dict in a saved object, which may hold several and other things."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

WRAPPERS = frozenset(("module", "_orig_mod", "model", "inner", "net", "ema_model", "shadow"))
"""Possible parts of a prefix: of DDP, torch.compile, trainers, and the published model itself."""
ROOTS = ("embed_tokens", "embed_pos", "puzzle_emb", "lm_head", "q_head", "L_level", "H_level")
"""First parts of the published names below the prefix, besides `..._init`."""
AVERAGED = ("ema", "averaged", "shadow")
"""Words in the key of averaged weights, which are preferred."""
DEEPEST = 4
COMPANIONS = ("n_averaged",)
"""Tensors that wrappers store beside the weights."""


class Unwrapped(NamedTuple):
    """A state dict, with notes for the user.

    Attributes:
      tensors: tensors by full name.
      words: sentences about what was chosen or left out.
    """

    tensors: dict[str, Any]
    words: list[str]


def prefix(name: str) -> str | None:
    """The prefix of a name, before the name below `model.inner.`; None if no known name follows."""
    parts = name.split(".")
    depth = 0
    while depth < len(parts) and parts[depth] in WRAPPERS:
        depth += 1
    rest = parts[depth:]
    known = bool(rest) and (rest[0] in ROOTS or (len(rest) == 1 and rest[0].endswith("_init")))
    known = known or (bool(rest) and "inner" in parts[:depth])
    return ".".join([*parts[:depth], ""]) if known else None


def unwrap(content: Any, is_tensor: Callable[[Any], bool]) -> Unwrapped | None:
    """Finds the weights in a saved object.

    Args:
      content: the object, usually nested dicts.
      is_tensor: whether a value is a tensor.

    Returns:
      The state dict; None if there are no weights of a published model.
    """
    found = [
        (path, tensors)
        for path, tensors in _dicts(content, is_tensor, ())
        if any(prefix(name) is not None for name in tensors)
    ]
    if not found:
        return None
    averaged = [each for each in found if _is_averaged(each[0])]
    path, tensors = min(averaged or found, key=lambda each: (len(each[0]), -len(each[1])))
    words = []
    if path:
        what = "averaged weights" if averaged else "weights"
        words.append(f"took the {what} under {_shown(path)}")
    short = {_below(name): name for name in tensors}
    for other, more in found:
        if averaged and other != path and not _is_averaged(other):
            lacking = {n: t for n, t in more.items() if prefix(n) is not None}
            lacking = {n: t for n, t in lacking.items() if _below(n) not in short}
            start = next((prefix(n) or "" for n in tensors if prefix(n) is not None), "")
            if lacking:
                tensors = tensors | {start + _below(n): t for n, t in lacking.items()}
                names = ", ".join(_below(n) for n in lacking)
                words.append(f"took {names} from {_shown(other)}, which {_shown(path)} lacks")
            break
    passed = [_shown(other) for other, _ in found if other != path]
    if passed:
        words.append(f"left out the weights under {', '.join(passed)}")
    return Unwrapped({n: t for n, t in tensors.items() if n not in COMPANIONS}, words)


def _dicts(
    content: Any, is_tensor: Callable[[Any], bool], path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """Yields each dict with tensors: the keys that lead to it, and its tensors by name."""
    if not isinstance(content, Mapping) or len(path) > DEEPEST:
        return
    tensors = {name: v for name, v in content.items() if isinstance(name, str) and is_tensor(v)}
    if tensors:
        yield path, tensors
    for name, value in content.items():
        if isinstance(name, str):
            yield from _dicts(value, is_tensor, (*path, name))


def _is_averaged(path: tuple[str, ...]) -> bool:
    return any(word in key.lower() for key in path for word in AVERAGED)


def _below(name: str) -> str:
    return name.removeprefix(prefix(name) or "")


def _shown(path: tuple[str, ...]) -> str:
    return "/".join(map(repr, path)) if path else "the top"
