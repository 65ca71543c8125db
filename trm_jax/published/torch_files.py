"""Files of named arrays as the PyTorch world keeps them: .pt, .npz and .safetensors.

Arrays are known by their names below `model.inner.`; bfloat16 is `ml_dtypes.bfloat16`.
"""

import importlib
import os
import pickle
import tempfile
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from trm_jax.core.errors import UserError

Arrays = dict[str, NDArray[Any]]

PREFIXES = ("_orig_mod.model.inner.", "_orig_mod.inner.", "model.inner.", "inner.")
"""What may stand before a name; compiled training leaves the first, and it is what we write."""
PARAMETERS = "param/"
"""A .npz may hold other things beside a model, whose arrays are then below this name."""
UNREADABLE = "cannot be read as {kind} ({error}); is it complete, and does its suffix fit?"
BFLOAT16 = np.dtype(ml_dtypes.bfloat16)


def read(path: str | os.PathLike[str]) -> Arrays:
    """Reads a file by its suffix: .npz, .safetensors, and everything else as `torch.save` wrote it.

    Args:
      path: of a local file. It is never unpickled further than to tensors.

    Returns:
      Arrays by name below `model.inner.`.

    Raises:
      UserError: it cannot be read, holds more than arrays, or a name has an unknown prefix.
    """
    file = Path(path)
    if not file.is_file():
        raise UserError(f"{file} is no file; give a .pt, .npz or .safetensors file of weights.")
    reader = {".npz": _read_npz, ".safetensors": _read_safetensors}.get(file.suffix, _read_torch)
    arrays = reader(file)
    if any(name.startswith(PARAMETERS) for name in arrays):
        arrays = {
            name.removeprefix(PARAMETERS): array
            for name, array in arrays.items()
            if name.startswith(PARAMETERS)
        }
    return _without_prefix(file, arrays)


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


def _read_torch(file: Path) -> Arrays:
    torch = _library("torch", "PyTorch")
    try:
        with warnings.catch_warnings(action="ignore"):  # of pickles that are refused anyway
            found = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{file} holds more than weights (or is no file of PyTorch's), and nothing else is "
            "ever loaded from it; save the state dict alone, with torch.save(model.state_dict())."
        ) from error
    except Exception as error:  # whatever reading a damaged archive ends in
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{file} {UNREADABLE.format(kind='PyTorch', error=reason)}") from error
    for wrapper in ("model", "state_dict"):
        if isinstance(found, dict) and list(found) == [wrapper]:
            found = found[wrapper]
    if not isinstance(found, dict):
        raise UserError(f"{file} holds a {type(found).__name__}; a dict of tensors is needed.")
    for name, value in found.items():
        if not isinstance(value, torch.Tensor):
            raise UserError(
                f"{file} holds a {type(value).__name__} under {name!r}; "
                "save the state dict alone, a tensor for each name."
            )
    return {str(name): _from_tensor(torch, value) for name, value in found.items()}


def _from_tensor(torch: Any, tensor: Any) -> NDArray[Any]:
    tensor = tensor.detach().contiguous()
    if tensor.dtype == torch.bfloat16:  # which torch cannot give to NumPy: hand the bits over
        return tensor.view(torch.int16).numpy().view(BFLOAT16)
    return tensor.numpy()


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


def _without_prefix(file: Path, arrays: Arrays) -> Arrays:
    """Names below `model.inner.`; all of them must have had the same prefix."""
    found: Arrays = {}
    first = ""
    for name, array in arrays.items():
        prefix = next((p for p in PREFIXES if name.startswith(p)), None)
        if prefix is None:
            raise UserError(
                f"{file} has {name!r}, which starts with none of {', '.join(PREFIXES)}; "
                "it is no state dict of the published models."
            )
        first = first or prefix
        if prefix != first:
            raise UserError(
                f"{file} has {name!r} beside names that start with {first!r}; give all of them "
                "the same prefix."
            )
        found[name.removeprefix(prefix)] = array
    if not found:
        raise UserError(f"{file} holds no arrays at all; give a file of weights.")
    return found
