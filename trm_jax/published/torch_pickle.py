"""Reads `torch.save` files without PyTorch and without running code from them.

Such a file is a zip archive: a pickle of the nested containers, and a file with the raw data of
each storage. Only a few names in the pickle are resolved; every other one becomes an `Unknown`,
which ignores all that is done to it.
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
MAX_PICKLE = 256 << 20
"""Maximum size of a pickle in bytes; it has only names and shapes."""
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
    """A file is not a valid `torch.save` file; the message is a predicate: "is damaged"."""


class Unknown:
    """Placeholder for everything in a pickle that is neither a tensor nor a plain container."""

    named = "something"

    def __new__(cls, *_: Any, **__: Any) -> "Unknown":
        """Accepts and ignores all arguments."""
        return super().__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None:
        """Ignores its arguments."""

    def __setstate__(self, _: Any) -> None:
        """Ignores its arguments."""

    def append(self, _: Any) -> None:
        """Ignores its arguments."""

    def extend(self, _: Any) -> None:
        """Ignores its arguments."""

    def add(self, _: Any) -> None:
        """Ignores its arguments."""

    def __setitem__(self, _: Any, __: Any) -> None:
        """Ignores its arguments."""


class _Storage(NamedTuple):
    """The data of one or several tensors, not read yet."""

    dtype: np.dtype[Any]
    key: str
    size: int


class Tensor(NamedTuple):
    """A tensor whose data are not read yet; see `Archive.array`."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


class Archive:
    """An open `torch.save` file.

    Attributes:
      content: the saved object, with `Tensor` in place of tensors.
    """

    def __init__(self, file: Path) -> None:
        """Reads the containers, but not the data of tensors.

        Raises:
          NoTorchFileError: the file has another format, or is damaged.
        """
        try:
            self._zip = zipfile.ZipFile(file)
            self._names = set(self._zip.namelist())
        except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
            raise NoTorchFileError(f"is not a complete PyTorch archive ({error})") from error
        pickles = [name for name in self._names if name.split("/")[1:] == [PICKLE]]
        if len(pickles) != 1:
            raise NoTorchFileError(f"is a zip archive without PyTorch's {PICKLE}")
        self._root = pickles[0].removesuffix(PICKLE)
        if f"{self._root}constants.pkl" in self._names:
            raise NoTorchFileError("is a TorchScript archive, a program, not weights alone")
        order = f"{self._root}byteorder"
        if order in self._names and self._bytes(order, 64).strip() != b"little":
            raise NoTorchFileError("was written on a big-endian machine; save it on another one")
        self.content = _Containers(self._bytes(pickles[0], MAX_PICKLE)).load_all()

    def array(self, tensor: Tensor) -> NDArray[Any]:
        """Reads a tensor as an array of the same shape and dtype.

        Raises:
          NoTorchFileError: its data are missing or too short.
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
            raise NoTorchFileError(f"has {flat.size} stored numbers instead of {storage.size}")
        steps = tuple(step * storage.dtype.itemsize for step in tensor.stride)
        view = np.lib.stride_tricks.as_strided(flat[tensor.offset :], tensor.shape, steps)
        return np.array(view, order="C")

    def _bytes(self, name: str, most: int) -> bytes:
        """Reads a file of the archive of at most `most` bytes, and verifies its checksum."""
        if name not in self._names:
            raise NoTorchFileError(f"is incomplete: it has no {name}")
        if self._zip.getinfo(name).file_size > most:
            raise NoTorchFileError(f"has a file {name} that is larger than it can be")
        try:
            return self._zip.read(name)
        except Exception as error:  # zipfile and zlib raise many types
            raise NoTorchFileError(f"is damaged: {name} cannot be read ({error})") from error


class _Containers(pickle.Unpickler):
    """Unpickles containers and plain values only."""

    def __init__(self, content: bytes) -> None:
        super().__init__(io.BytesIO(content))

    def load_all(self) -> Any:
        """Returns the pickled object."""
        try:
            return self.load()
        except Exception as error:  # unpickling can raise anything
            reason = " ".join(str(error).split()) or type(error).__name__
            raise NoTorchFileError(f"is damaged: its {PICKLE} cannot be read ({reason})") from error

    def find_class(self, module: str, name: str) -> Any:
        """Resolves a name: to an entry of `KNOWN`, a storage, or an `Unknown`."""
        if module == "torch" and name in STORAGES:
            return type(name, (Unknown,), {"named": f"torch.{name}", "dtype": STORAGES[name]})
        known = KNOWN.get(f"{module}.{name}")
        return known or type("Unknown", (Unknown,), {"named": f"{module}.{name}"})

    def persistent_load(self, pid: Any) -> _Storage:
        """A storage, from ("storage", type, key, device, size)."""
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
"""Names in a pickle that are resolved."""
