"""Available memory, and the error message when it has run out."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import jax

from trm_jax.core.errors import DOES_NOT_FIT, UserError
from trm_jax.core.frame import NO_MEMORY, full_disk

_CGROUP = Path("/sys/fs/cgroup/memory.max")


def out_of_memory(error: BaseException) -> bool:
    """Whether an error means that memory has run out, on any kind of device."""
    if isinstance(error, MemoryError):
        return True
    spoken = isinstance(error, jax.errors.JaxRuntimeError | RuntimeError | ValueError)
    return spoken and not full_disk(error) and any(word in str(error) for word in NO_MEMORY)


@contextlib.contextmanager
def enough_memory(what: str, setting: str) -> Iterator[None]:
    """Context that turns an out-of-memory error into a `UserError`.

    Args:
      what: name of the work inside the context, the subject of the error message.
      setting: the flag or key to lower.

    Raises:
      UserError: the device or the system ran out of memory.
    """
    try:
        yield
    except UserError:
        raise
    except (MemoryError, RuntimeError, ValueError) as error:
        if not out_of_memory(error):
            raise
        lines = str(error).splitlines() or ["the system has no more"]
        raise UserError(f"{what} {DOES_NOT_FIT} ({lines[0][:200]}); lower {setting}.") from error


def device_bytes(device: jax.Device) -> int | None:
    """Memory of one device, in bytes; None if unknown, as for a device of a planned topology.

    CPU devices share the machine's memory equally; other processes on it are not considered.
    """
    if device.platform == "cpu":
        return machine_bytes() // max(jax.local_device_count("cpu"), 1)
    try:
        return int((device.memory_stats() or {})["bytes_limit"])
    except Exception:  # a planned topology's devices raise errors of various types
        return None


def machine_bytes() -> int:
    """Memory of this machine, or the limit of its container if lower, in bytes."""
    have = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        return min(have, int(_CGROUP.read_text()))
    except (OSError, ValueError):
        return have
