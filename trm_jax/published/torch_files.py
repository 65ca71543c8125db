"""Files of named arrays as the PyTorch world keeps them: .pt, .npz and .safetensors.

Arrays are known by their names below `model.inner.`; bfloat16 is `ml_dtypes.bfloat16`.
"""

import importlib
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trm_jax.core.errors import UserError
from trm_jax.published.torch_pickle import BFLOAT16, Archive, NoTorchFileError, Tensor, Unknown
from trm_jax.published.unwrap import prefix as prefix_of
from trm_jax.published.unwrap import unwrap

Arrays = dict[str, NDArray[Any]]

PREFIXES = ("_orig_mod.model.inner.", "_orig_mod.inner.", "model.inner.", "inner.")
"""What may stand before a name; compiled training leaves the first, and it is what we write."""
PARAMETERS = "param/"
"""A .npz may hold other things beside a model, whose arrays are then below this name."""
SAVE_ALONE = "save the state dict alone, with torch.save(model.state_dict(), FILE)."
UNREADABLE = "cannot be read as {kind} ({error}); is it complete, and does its suffix fit?"
ZIP, OLD_PICKLE = b"PK\x03\x04", b"\x80"
"""What files of torch.save begin with, today's and those of PyTorch before 1.6."""
FIRST = 512
"""Bytes of a file that show what it is."""


def read(path: str | os.PathLike[str]) -> Arrays:
    """The arrays of `read_said`."""
    return read_said(path)[0]


def read_said(path: str | os.PathLike[str]) -> tuple[Arrays, list[str]]:
    """Reads a file by its suffix: .npz, .safetensors, and everything else as `torch.save` wrote it.

    Args:
      path: of a local file. It is never unpickled further than to tensors.

    Returns:
      Arrays by name below `model.inner.`, and a sentence on each thing that was chosen or left out
      on the way to them.

    Raises:
      UserError: it cannot be read, holds no weights, or a name has an unknown prefix.
    """
    file = Path(path)
    if not file.is_file():
        raise UserError(f"{file} is no file; give a .pt, .npz or .safetensors file of weights.")
    _refuse_text(file)
    if file.suffix not in READERS:
        arrays, words = _read_torch(file)
    else:
        arrays, words = READERS[file.suffix](file), []
    if any(name.startswith(PARAMETERS) for name in arrays):
        arrays = {
            name.removeprefix(PARAMETERS): array
            for name, array in arrays.items()
            if name.startswith(PARAMETERS)
        }
    return _without_prefix(file, arrays, words), words


def _refuse_text(file: Path) -> None:
    """Refuses what downloads leave in the place of weights, and says what it is."""
    try:
        with file.open("rb") as stream:
            start = stream.read(FIRST)
    except OSError as error:
        raise UserError(f"{file} cannot be read ({error.strerror}); give another file.") from error
    text = start.decode("utf-8", "replace").lstrip("\ufeff \t\r\n")
    if not text:
        raise UserError(f"{file} is empty; fetch it again.")
    if text.startswith("version https://git-lfs"):
        raise UserError(
            f"{file} is a Git LFS pointer, a few lines that stand for the weights; run `git lfs "
            "pull` where it was cloned, or download the file itself."
        )
    if text.lower().startswith(("<!doctype", "<html", "<head", "<?xml", "<body")):
        raise UserError(
            f"{file} is a web page, not the weights; download the file itself (on the Hugging Face "
            "hub its address has /resolve/ where that of its page has /blob/)."
        )
    if "\ufffd" not in text and text.isprintable():
        raise UserError(
            f"{file} is a text ({text.splitlines()[0][:40]!r}...), not the weights; fetch it again."
        )


def write(path: str | os.PathLike[str], arrays: Mapping[str, NDArray[Any]], prefix: str) -> bool:
    """Writes a new file by its suffix, all of it or nothing.

    Args:
      path: of a local file that is not there yet.
      arrays: by name below `model.inner.`.
      prefix: put before each name.

    Returns:
      Whether bfloat16 was written as float32, because .npz has no such type.

    Raises:
      UserError: the suffix is unknown, the file exists, or it cannot be written.
    """
    file = Path(path)
    if file.suffix not in WRITERS:
        raise UserError(f"{file} has suffix {file.suffix!r}; write one of {', '.join(WRITERS)}.")
    if file.exists():
        raise UserError(f"{file} exists already; remove it, or give another name.")
    named = {prefix + name: np.array(array, order="C") for name, array in arrays.items()}
    widened = False
    if file.suffix == ".npz":
        widened = any(array.dtype == BFLOAT16 for array in named.values())
        named = {k: a.astype(np.float32) if a.dtype == BFLOAT16 else a for k, a in named.items()}
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=file.parent, prefix=f".{file.name}.") as beside:
            draft = Path(beside) / file.name
            WRITERS[file.suffix](draft, named)
            draft.rename(file)
    except OSError as error:
        raise UserError(f"{file} cannot be written ({error}); give another place.") from error
    return widened


def _read_npz(file: Path) -> Arrays:
    try:
        with np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except Exception as error:  # a damaged zip archive has many ways to say so
        raise UserError(f"{file} {UNREADABLE.format(kind='.npz', error=error)}") from error


def _read_safetensors(file: Path) -> Arrays:
    library = _library("safetensors.numpy", "safetensors")
    try:
        return dict(library.load_file(file))
    except Exception as error:  # its own exception is defined in compiled code, without a base
        raise UserError(f"{file} {UNREADABLE.format(kind='safetensors', error=error)}") from error


def _read_torch(file: Path) -> tuple[Arrays, list[str]]:
    """Tensors of the one state dict in a file of PyTorch's, which need not be installed."""
    with file.open("rb") as stream:
        start = stream.read(len(ZIP))
    if start[:1] == OLD_PICKLE:
        raise UserError(
            f"{file} holds more than weights, or is of a PyTorch before 1.6, and nothing else is "
            "ever loaded from it; save the state dict alone, with a newer "
            "torch.save(model.state_dict(), FILE)."
        )
    try:
        archive = Archive(file)
        found = unwrap(archive.content, lambda value: isinstance(value, Tensor))
        if found is None:
            raise UserError(f"{file} holds {_held(archive.content)}; {SAVE_ALONE}")
        return {name: archive.array(each) for name, each in found.tensors.items()}, found.words
    except NoTorchFileError as error:
        raise UserError(f"{file} cannot be read as PyTorch: it {error}; fetch it again.") from error


def _held(content: Any) -> str:
    """What was saved in the place of weights, in words."""
    if isinstance(content, Unknown):
        return f"more than weights: {content.named}"
    if not isinstance(content, dict):
        return f"a {type(content).__name__} and no dict of tensors"
    for name, value in content.items():
        if isinstance(value, Unknown):
            return f"more than weights: {value.named} under {name!r}"
        if not isinstance(value, Tensor | dict):
            return f"a {type(value).__name__} under {name!r} and no weights of a published model"
    names = ", ".join(repr(name) for name in list(content)[:4]) or "nothing"
    return f"no weights of a published model, but {names}"


def _write_npz(file: Path, arrays: Arrays) -> None:
    with file.open("wb") as stream:
        np.savez(stream, allow_pickle=False, **arrays)


def _write_safetensors(file: Path, arrays: Arrays) -> None:
    _library("safetensors.numpy", "safetensors").save_file(arrays, file)


def _write_torch(file: Path, arrays: Arrays) -> None:
    torch = _library("torch", "PyTorch")

    def tensor(array: NDArray[Any]) -> Any:
        if array.dtype == BFLOAT16:
            return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
        return torch.from_numpy(array)

    torch.save({name: tensor(array) for name, array in arrays.items()}, file)


READERS: dict[str, Callable[[Path], Arrays]] = {
    ".npz": _read_npz,
    ".safetensors": _read_safetensors,
}
WRITERS: dict[str, Callable[[Path, Arrays], None]] = {
    ".pt": _write_torch,
    ".npz": _write_npz,
    ".safetensors": _write_safetensors,
}


def _library(module: str, name: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise UserError(
            f"{name} is not installed, which this file needs; pip install 'trm-jax[torch]', or "
            "use an .npz file."
        ) from error


def _without_prefix(file: Path, arrays: Arrays, words: list[str]) -> Arrays:
    """Names below `model.inner.`; all of them must have had the same prefix."""
    found: Arrays = {}
    first: str | None = None
    for name, array in arrays.items():
        prefix = prefix_of(name)
        if prefix is None:
            raise UserError(
                f"{file} has {name!r}, which starts with none of {', '.join(PREFIXES)}; "
                "it is no state dict of the published models."
            )
        first = prefix if first is None else first
        if prefix != first:
            raise UserError(
                f"{file} has {name!r} beside names that start with {first!r}; give all of them "
                "the same prefix."
            )
        found[name.removeprefix(prefix)] = array
    if not found:
        raise UserError(f"{file} holds no arrays at all; give a file of weights.")
    if first not in PREFIXES:
        words.append(f"took the names without {first!r}" if first else "the names have no prefix")
    return found
