"""The one state dict among the many things that people save around it."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

WRAPPERS = frozenset(("module", "_orig_mod", "model", "inner", "net", "ema_model", "shadow"))
"""What may stand before a name: of DDP, of torch.compile, of trainers, and the published model."""
ROOTS = ("embed_tokens", "embed_pos", "puzzle_emb", "lm_head", "q_head", "L_level", "H_level")
"""What names of the published models begin with below all that, besides `..._init`."""
AVERAGED = ("ema", "averaged", "shadow")
"""In the key of averaged weights, which are those that are evaluated."""
DEEPEST = 4
COMPANIONS = ("n_averaged",)
"""Tensors that wrappers keep beside the weights."""


class Unwrapped(NamedTuple):
    """A state dict, and what is to be said of it.

    Attributes:
      tensors: by full name.
      words: a sentence on each thing that was chosen or left out.
    """

    tensors: dict[str, Any]
    words: list[str]


def prefix(name: str) -> str | None:
    """What stands before the name below `model.inner.`; None where no published name follows."""
    parts = name.split(".")
    depth = 0
    while depth < len(parts) and parts[depth] in WRAPPERS:
        depth += 1
    rest = parts[depth:]
    known = bool(rest) and (rest[0] in ROOTS or (len(rest) == 1 and rest[0].endswith("_init")))
    known = known or (bool(rest) and "inner" in parts[:depth])
    return ".".join([*parts[:depth], ""]) if known else None


def unwrap(content: Any, is_tensor: Callable[[Any], bool]) -> Unwrapped | None:
    """Finds the weights in what was saved; None where there are none of a published model.

    Args:
      content: nested dicts.
      is_tensor: what counts as a tensor.
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
                words.append(f"took {names} from {_shown(other)}, which {_shown(path)} has not")
            break
    passed = [_shown(other) for other, _ in found if other != path]
    if passed:
        words.append(f"left out the weights under {', '.join(passed)}")
    return Unwrapped({n: t for n, t in tensors.items() if n not in COMPANIONS}, words)


def _dicts(
    content: Any, is_tensor: Callable[[Any], bool], path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """Every dict that holds tensors, with the keys that lead to it, and its tensors by name."""
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
