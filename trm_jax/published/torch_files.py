"""Reads and writes files of named arrays: .pt, .npz and .safetensors.

Arrays have their names below `model.inner.`; bfloat16 is `ml_dtypes.bfloat16`.
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
"""Possible prefixes of names; compiled training produces the first, which is also written here."""
PARAMETERS = "param/"
"""Prefix of a model's arrays in an .npz file that has other arrays as well."""
SAVE_ALONE = "save the state dict alone, with torch.save(model.state_dict(), FILE)."
UNREADABLE = "cannot be read as {kind} ({error}); is it complete, and does its suffix fit?"
ZIP, OLD_PICKLE = b"PK\x03\x04", b"\x80"
"""First bytes of files that torch.save wrote: since PyTorch 1.6, and before."""
FIRST = 512
"""Number of bytes at the start of a file that are checked for its type."""


def read(path: str | os.PathLike[str]) -> Arrays:
    """The arrays of a file; see `read_said`."""
    return read_said(path)[0]


def read_said(path: str | os.PathLike[str]) -> tuple[Arrays, list[str]]:
    """Reads a file of weights: .npz, .safetensors, or with any other suffix a `torch.save` file.

    Only tensors and plain containers are unpickled; no code in the file is run.

    Args:
      path: a local file.

    Returns:
      Arrays by their names below `model.inner.`, and sentences about what was chosen or left out.

    Raises:
      UserError: the file cannot be read or has no weights, or a name has an unknown prefix.
    """
    file = Path(path)
    if not file.is_file():
        raise UserError(f"{file} is not a file; give a .pt, .npz or .safetensors file of weights.")
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
    """Refuses text files, which failed downloads often leave instead of weights."""
    try:
        with file.open("rb") as stream:
            start = stream.read(FIRST)
    except OSError as error:
        raise UserError(f"{file} cannot be read ({error.strerror}); give another file.") from error
    text = start.decode("utf-8", "replace").lstrip("\ufeff \t\r\n")
    if not text:
        raise UserError(f"{file} is empty; download it again.")
    if text.startswith("version https://git-lfs"):
        raise UserError(
            f"{file} is a Git LFS pointer, not the weights; run `git lfs pull` in its repository, "
            "or download the file itself."
        )
    if text.lower().startswith(("<!doctype", "<html", "<head", "<?xml", "<body")):
        raise UserError(
            f"{file} is a web page, not the weights; download the file itself (on the Hugging Face "
            "hub, replace /blob/ by /resolve/ in its address)."
        )
    if "\ufffd" not in text and text.isprintable():
        raise UserError(
            f"{file} is a text ({text.splitlines()[0][:40]!r}...), not the weights; download it "
            "again."
        )


def write(path: str | os.PathLike[str], arrays: Mapping[str, NDArray[Any]], prefix: str) -> bool:
    """Writes a new file in the format of its suffix, or nothing if that fails.

    Args:
      path: a local file that does not exist.
      arrays: arrays by their names below `model.inner.`.
      prefix: prefix of each name.

    Returns:
      Whether bfloat16 arrays were written as float32, because .npz has no bfloat16.

    Raises:
      UserError: the suffix is unknown, or the file exists or cannot be written.
    """
    file = Path(path)
    if file.suffix not in WRITERS:
        raise UserError(f"{file} has suffix {file.suffix!r}; write one of {', '.join(WRITERS)}.")
    if file.exists():
        raise UserError(f"{file} already exists; remove it, or give another name.")
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
        raise UserError(f"{file} cannot be written ({error}); give another path.") from error
    return widened


def _read_npz(file: Path) -> Arrays:
    try:
        with np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except Exception as error:  # damaged zip archives raise many types
        raise UserError(f"{file} {UNREADABLE.format(kind='.npz', error=error)}") from error


def _read_safetensors(file: Path) -> Arrays:
    library = _library("safetensors.numpy", "safetensors")
    try:
        return dict(library.load_file(file))
    except Exception as error:  # safetensors' own exception has no base class to name
        raise UserError(f"{file} {UNREADABLE.format(kind='safetensors', error=error)}") from error


def _read_torch(file: Path) -> tuple[Arrays, list[str]]:
    """Tensors of the state dict in a `torch.save` file, read without PyTorch."""
    with file.open("rb") as stream:
        start = stream.read(len(ZIP))
    if start[:1] == OLD_PICKLE:
        raise UserError(
            f"{file} holds more than weights, or was written by a PyTorch before 1.6, and is not "
            "loaded, since that could run code; save the state dict alone, with a newer "
            "torch.save(model.state_dict(), FILE)."
        )
    try:
        archive = Archive(file)
        found = unwrap(archive.content, lambda value: isinstance(value, Tensor))
        if found is None:
            raise UserError(f"{file} holds {_held(archive.content)}; {SAVE_ALONE}")
        return {name: archive.array(each) for name, each in found.tensors.items()}, found.words
    except NoTorchFileError as error:
        raise UserError(
            f"{file} cannot be read as a PyTorch file: it {error}; download it again."
        ) from error


def _held(content: Any) -> str:
    """A description of a file's content that is not weights."""
    if isinstance(content, Unknown):
        return f"more than weights: {content.named}"
    if not isinstance(content, dict):
        return f"a {type(content).__name__}, not a dict of tensors"
    for name, value in content.items():
        if isinstance(value, Unknown):
            return f"more than weights: {value.named} under {name!r}"
        if not isinstance(value, Tensor | dict):
            return f"a {type(value).__name__} under {name!r} and no weights of a published model"
    names = ", ".join(repr(name) for name in list(content)[:4]) or "nothing"
    return f"no weights of a published model, only {names}"


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
            f"this file needs {name}, which is not installed; pip install 'trm-jax[torch]', or "
            "use an .npz file."
        ) from error


def _without_prefix(file: Path, arrays: Arrays, words: list[str]) -> Arrays:
    """Removes the prefix from all names; it has to be the same for all of them."""
    found: Arrays = {}
    first: str | None = None
    for name, array in arrays.items():
        prefix = prefix_of(name)
        if prefix is None:
            raise UserError(
                f"{file} has {name!r}, which starts with none of {', '.join(PREFIXES)}; "
                "give a state dict of a published model."
            )
        first = prefix if first is None else first
        if prefix != first:
            raise UserError(
                f"{file} has {name!r}, but other names start with {first!r}; give all names the "
                "same prefix."
            )
        found[name.removeprefix(prefix)] = array
    if not found:
        raise UserError(f"{file} has no arrays; give a file of weights.")
    if first not in PREFIXES:
        words.append(f"removed the prefix {first!r}" if first else "the names have no prefix")
    return found
