"""What `torch.save` wrote, read without PyTorch, and without running anything that is in it.

Such a file is a zip archive: a pickle of the nested containers, and beside it the raw numbers of
every tensor. Names in the pickle stand for a fixed few things here; every other one becomes an
`Unknown`, which does nothing whatever is done to it.
"""

import io
import math
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
PICKLE = "data.pkl"
MOST_PICKLE = 256 << 20
"""Bytes of a pickle, which holds names and shapes; the numbers lie beside it."""
STORAGES = {
    "FloatStorage": np.dtype(np.float32),
    "HalfStorage": np.dtype(np.float16),
    "BFloat16Storage": BFLOAT16,
    "DoubleStorage": np.dtype(np.float64),
    "LongStorage": np.dtype(np.int64),
    "IntStorage": np.dtype(np.int32),
    "ShortStorage": np.dtype(np.int16),
    "CharStorage": np.dtype(np.int8),
    "ByteStorage": np.dtype(np.uint8),
    "BoolStorage": np.dtype(np.bool_),
}


class NoTorchFileError(Exception):
    """A file is not one of `torch.save`'s; the message says what it is, after its name."""


class Unknown:
    """Stands for whatever a pickle asks for that is neither a tensor nor a plain container."""

    named = "something"

    def __new__(cls, *_: Any, **__: Any) -> "Unknown":
        """Takes anything."""
        return super().__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None:
        """Keeps nothing."""

    def __setstate__(self, _: Any) -> None:
        """Keeps nothing."""

    def append(self, _: Any) -> None:
        """Keeps nothing."""

    def extend(self, _: Any) -> None:
        """Keeps nothing."""

    def add(self, _: Any) -> None:
        """Keeps nothing."""

    def __setitem__(self, _: Any, __: Any) -> None:
        """Keeps nothing."""


class _Storage(NamedTuple):
    """The numbers of one or several tensors, not read yet."""

    dtype: np.dtype[Any]
    key: str
    size: int


class Tensor(NamedTuple):
    """A tensor whose numbers are not read yet; see `Archive.array`."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


class Archive:
    """An open file of `torch.save`.

    Attributes:
      content: what was saved; `Tensor` where tensors were.
    """

    def __init__(self, file: Path) -> None:
        """Reads the containers; the numbers of tensors are left where they are.

        Raises:
          NoTorchFileError: it is something else, or damaged.
        """
        try:
            self._zip = zipfile.ZipFile(file)
            self._names = set(self._zip.namelist())
        except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
            raise NoTorchFileError(f"is no whole archive of PyTorch's ({error})") from error
        pickles = [name for name in self._names if name.split("/")[1:] == [PICKLE]]
        if len(pickles) != 1:
            raise NoTorchFileError(f"is a zip archive without the {PICKLE} of PyTorch's")
        self._root = pickles[0].removesuffix(PICKLE)
        if f"{self._root}constants.pkl" in self._names:
            raise NoTorchFileError("is a TorchScript archive, a program with weights inside")
        order = f"{self._root}byteorder"
        if order in self._names and self._bytes(order, 64).strip() != b"little":
            raise NoTorchFileError("was written on a big-endian machine; save it anew on another")
        self.content = _Containers(self._bytes(pickles[0], MOST_PICKLE)).load_all()

    def array(self, tensor: Tensor) -> NDArray[Any]:
        """The numbers of a tensor, in its own shape and type.

        Raises:
          NoTorchFileError: they are not there, or not as many as the tensor says.
        """
        storage, numbers = tensor.storage, [tensor.offset, *tensor.shape, *tensor.stride]
        if any(type(n) is not int or n < 0 for n in numbers):
            raise NoTorchFileError(f"has a tensor of shape {tensor.shape} at {tensor.offset}")
        count = math.prod(tensor.shape)
        pairs = zip(tensor.shape, tensor.stride, strict=True)
        last = tensor.offset + sum((n - 1) * step for n, step in pairs)
        if count > storage.size or (count and last >= storage.size):
            raise NoTorchFileError(
                f"has a tensor of shape {tensor.shape} over {storage.size} stored numbers"
            )
        if not count:
            return np.zeros(tensor.shape, storage.dtype)
        raw = self._bytes(f"{self._root}data/{storage.key}", storage.size * storage.dtype.itemsize)
        flat = np.frombuffer(raw, storage.dtype)
        if flat.size != storage.size:
            raise NoTorchFileError(f"has {flat.size} numbers where {storage.size} are told of")
        steps = tuple(step * storage.dtype.itemsize for step in tensor.stride)
        view = np.lib.stride_tricks.as_strided(flat[tensor.offset :], tensor.shape, steps)
        return np.array(view, order="C")

    def _bytes(self, name: str, most: int) -> bytes:
        """A file of the archive, whose checksum fits."""
        if name not in self._names:
            raise NoTorchFileError(f"is incomplete: it has no {name}")
        if self._zip.getinfo(name).file_size > most:
            raise NoTorchFileError(f"has {name} larger than it can be")
        try:
            return self._zip.read(name)
        except Exception as error:  # zipfile and zlib have many; an encrypted one a RuntimeError
            raise NoTorchFileError(f"is damaged: {name} cannot be read ({error})") from error


class _Containers(pickle.Unpickler):
    """Reads containers and plain values; nothing else has a meaning."""

    def __init__(self, content: bytes) -> None:
        super().__init__(io.BytesIO(content))

    def load_all(self) -> Any:
        """What was pickled."""
        try:
            return self.load()
        except Exception as error:  # a pickle can go wrong in any way
            reason = " ".join(str(error).split()) or type(error).__name__
            raise NoTorchFileError(f"is damaged: its {PICKLE} cannot be read ({reason})") from error

    def find_class(self, module: str, name: str) -> Any:
        """What a name stands for here."""
        if module == "torch" and name in STORAGES:
            return type(name, (Unknown,), {"named": f"torch.{name}", "dtype": STORAGES[name]})
        known = KNOWN.get(f"{module}.{name}")
        return known or type("Unknown", (Unknown,), {"named": f"{module}.{name}"})

    def persistent_load(self, pid: Any) -> _Storage:
        """A storage, by ("storage", type, key, device, size)."""
        kind, storage, key, _, size = pid
        dtype = getattr(storage, "dtype", None)
        if kind != "storage" or dtype is None or not isinstance(key, str) or type(size) is not int:
            raise ValueError(f"numbers of an unknown type {getattr(storage, 'named', storage)}")
        return _Storage(dtype, key, size)


def _tensor(storage: Any, offset: int, shape: Any, stride: Any, *_: Any) -> Tensor:
    if not isinstance(storage, _Storage):
        raise ValueError("a tensor without numbers")
    return Tensor(storage, offset, tuple(shape), tuple(stride))


def _first(value: Any, *_: Any) -> Any:
    return value


def _with_type(make: Callable[..., Any], _: Any, arguments: Any, __: Any) -> Any:
    if make not in (_tensor, _first):
        raise ValueError("a tensor of an unknown type")
    return make(*arguments)


def _size(shape: Any = ()) -> tuple[int, ...]:
    return tuple(shape)


def _refused(*_: Any) -> NoReturn:
    raise ValueError("numbers inside of the pickle")


KNOWN: dict[str, Any] = {
    "collections.OrderedDict": OrderedDict,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": _first,
    "torch._utils._rebuild_parameter_with_state": _first,
    "torch._tensor._rebuild_from_type_v2": _with_type,
    "torch.Size": _size,
    "torch.storage._load_from_bytes": _refused,
}
"""What names in a pickle stand for."""
