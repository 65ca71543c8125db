"""What memory there is, and what is said when something does not fit into it."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import jax

from trm_jax.core.errors import DOES_NOT_FIT, UserError
from trm_jax.core.frame import NO_MEMORY, full_disk

_CGROUP = Path("/sys/fs/cgroup/memory.max")


def out_of_memory(error: BaseException) -> bool:
    """Whether an error means that memory has run out, on whatever kind of device."""
    if isinstance(error, MemoryError):
        return True
    spoken = isinstance(error, jax.errors.JaxRuntimeError | RuntimeError | ValueError)
    return spoken and not full_disk(error) and any(word in str(error) for word in NO_MEMORY)


@contextlib.contextmanager
def enough_memory(what: str, setting: str) -> Iterator[None]:
    """Turns a refusal to hold something, by a device or by the system, into a sentence.

    Args:
      what: is done inside.
      setting: the flag or key to lower.

    Raises:
      UserError: it does not fit.
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
    """Memory that one device has for itself; None where that is not known, as before it is there.

    CPU devices share the machine's, each process of several on one machine counting as alone.
    """
    if device.platform == "cpu":
        return machine_bytes() // max(jax.local_device_count("cpu"), 1)
    try:
        return int((device.memory_stats() or {})["bytes_limit"])
    except Exception:  # devices of a topology that is only planned with raise many kinds
        return None


def machine_bytes() -> int:
    """Memory of this machine, or what its container may take of it."""
    have = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        return min(have, int(_CGROUP.read_text()))
    except (OSError, ValueError):
        return have
